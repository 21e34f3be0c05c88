"""Resolve: the model names of a request become catalog ids, within what its key may use. Pure."""

import msgspec

from accounts.caller import Caller
from core.errors import PermissionDenied
from routing.catalog.names import NameBook, Resolved
from routing.language.chat import Mode, Steering
from routing.language.errors import InvalidModel


class ResolvedModels(msgspec.Struct, frozen=True):
    """Catalog ids. `pinned`: the model of manual mode; `allowed`: the candidate pool, empty for all models.

    `note`: a sentence for the trace when a retired model is replaced. `successor`: the documented successor
    of the pinned model, if its retirement is announced.
    """

    pinned: str | None
    allowed: frozenset[str]
    note: str | None
    successor: str | None = None


def resolve(steering: Steering, caller: Caller, names: NameBook) -> ResolvedModels:
    """Raises InvalidModel for an unknown name, PermissionDenied for models this key may not use."""
    pinned = _pinned(steering, caller, names)
    return ResolvedModels(
        pinned=pinned.id if pinned else None,
        allowed=_allowed(steering, caller, names),
        note=pinned.note if pinned else None,
        successor=names.successor_of(pinned.id) if pinned else None,
    )


def resolve_model(name: str, names: NameBook, param: str) -> Resolved:
    """The catalog id that a name means. Raises InvalidModel with near matches, about the field `param`."""
    resolved = names.resolve(name)
    if not resolved.id:
        near = ", ".join(resolved.near)
        raise InvalidModel(
            f"There is no model {name!r}."
            + (f" Did you mean {near}?" if near else " See GET /api/v1/models."),
            param=param,
            details={"near_matches": list(resolved.near)},
        )
    return resolved


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
    if caller.models and pinned.id not in caller.models:
        raise PermissionDenied(f"This key may not use {pinned.id}. Ask its owner to allow it.", param="model")
    return pinned


def _allowed(steering: Steering, caller: Caller, names: NameBook) -> frozenset[str]:
    """The models that the request names, within those the key may use."""
    if not steering.models:
        return caller.models
    requested = frozenset(resolve_model(name, names, "models").id for name in steering.models)
    if not caller.models:
        return requested
    if not requested & caller.models:
        raise PermissionDenied("This key may use none of the models named in `models`.", param="models")
    return requested & caller.models
