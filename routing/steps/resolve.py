"""Resolve: the model names of a request become catalog ids, within what its key may use. Pure."""

import msgspec

from accounts.caller import Caller
from routing.catalog.names import NameBook, Resolved
from routing.language.chat import Mode, Steering
from routing.language.errors import InvalidModel
from routing.steps.model_rules import check_pinned, resolve_model, rules_of_request


class ResolvedModels(msgspec.Struct, frozen=True):
    """Catalog ids. `pinned`: the model of manual mode; `allowed`: the candidate pool, empty for all models.

    `excluded`: by id, who excludes it: request, key or account.
    `note`: a sentence for the trace when a retired model is replaced. `successor`: the documented successor
    of the pinned model, if its retirement is announced.
    """

    pinned: str | None
    allowed: frozenset[str]
    note: str | None
    successor: str | None = None
    excluded: dict[str, str] = {}


def resolve(steering: Steering, caller: Caller, names: NameBook) -> ResolvedModels:
    """Raises InvalidModel for an unknown name, PermissionDenied for models this key may not use."""
    pinned = _pinned(steering, caller, names)
    rules = rules_of_request(steering.models, caller, names)
    return ResolvedModels(
        pinned=pinned.id if pinned else None,
        allowed=rules.included or frozenset(),
        excluded=rules.excluded,
        note=pinned.note if pinned else None,
        successor=names.successor_of(pinned.id) if pinned else None,
    )


def _pinned(steering: Steering, caller: Caller, names: NameBook) -> Resolved | None:
    if steering.mode is not Mode.MANUAL or steering.model is None:
        return None
    pinned = resolve_model(steering.model, names, "model")
    if pinned.replaced_from and not caller.replace_retired:
        raise InvalidModel(
            f"{pinned.replaced_from} is retired and this account forbids replacement. "
            f"Its documented successor is {pinned.id}.",
            param="model",
            details={"successor": pinned.id},
        )
    check_pinned(pinned.id, caller, names)
    return pinned
