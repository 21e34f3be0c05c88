"""The audit log: who did what to what, when. Rows are only ever added.

Call it in the transaction of the act itself, so that neither is there without the other.
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
    """Write down an administrative act.

    `account` None: an act of the operator. `actor`: a person, the name of what acted (a command), or None for
    RoutePlex itself. `action`: thing and verb, as `key.created`. `detail`: JSON without any secret; of what
    ends in `.changed`, `[before, after]` by field.
    """
    return AuditEntry.objects.create(
        account=account,
        actor=actor if isinstance(actor, User) else None,
        actor_name=(str(actor) if actor else SYSTEM)[:254],
        action=action[:60],
        target=target[:160],
        detail=detail,
    )
