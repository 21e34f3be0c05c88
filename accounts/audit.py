"""The audit log of administrative acts; rows are only ever added.

Call `record` in the transaction of the act itself, so that both are stored or neither.
"""

from typing import Any

from django.contrib.auth.models import AnonymousUser

from accounts.models import Account, AuditEntry, User

SYSTEM = "RoutePlex"


def record(
    account: Account | None,
    actor: User | AnonymousUser | str | None,
    action: str,
    target: str = "",
    detail: dict[str, Any] | None = None,
) -> AuditEntry:
    """Store an administrative act.

    `account` None: an act of the operator. `actor`: a person, the name of a command, or None for
    RoutePlex itself. `action`: thing and verb, as `key.created`. `detail`: JSON without any secret; for
    actions that end in `.changed`, `[before, after]` by field.
    """
    return AuditEntry.objects.create(
        account=account,
        actor=actor if isinstance(actor, User) else None,
        actor_name=(str(actor) if actor else SYSTEM)[:254],
        action=action[:60],
        target=target[:160],
        detail=detail,
    )
