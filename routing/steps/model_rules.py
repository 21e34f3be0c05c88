"""Model rules: the lists of models in a request, a key and an account, as catalog ids.

An entry is a model or `provider/*`; with a leading `-` it excludes. Without an entry that includes, all
models are included. Exclusions always win.
"""

from collections.abc import Collection, Iterable
from difflib import get_close_matches

import msgspec

from accounts.caller import Caller
from core.errors import PermissionDenied
from routing.catalog.names import NameBook, Resolved
from routing.language.errors import InvalidModel


class ModelRules(msgspec.Struct, frozen=True):
    """`included`: catalog ids; None: all. `excluded`: by catalog id, who excludes it."""

    included: frozenset[str] | None = None
    excluded: dict[str, str] = {}

    def permits(self, model: str) -> bool:
        return model not in self.excluded and (self.included is None or model in self.included)

    def and_also(self, other: "ModelRules") -> "ModelRules":
        """The models that both permit; this one's exclusions are named first."""
        included = self.included if other.included is None else other.included
        if self.included is not None and other.included is not None:
            included = self.included & other.included
        return ModelRules(included, other.excluded | self.excluded)


_NO_RULES = ModelRules()


def rules_of_caller(caller: Caller, names: NameBook) -> ModelRules:
    """The rules of the account and the key. Names that the catalog no longer has match no model."""
    if not caller.account_models and not caller.models:
        return _NO_RULES
    account = _rules(caller.account_models, "account", names)
    return account.and_also(_rules(caller.models, "key", names))


def rules_of_request(entries: Collection[str], caller: Caller, names: NameBook) -> ModelRules:
    """The rules of a request's `models`, within those of its caller.

    Raises InvalidModel for an unknown name and when `models` excludes everything, and PermissionDenied when
    key and account permit none of the models.
    """
    if not entries and not caller.account_models and not caller.models:
        return _NO_RULES
    for entry in entries:
        _check(entry, names)
    of_caller, requested = rules_of_caller(caller, names), _rules(entries, "request", names)
    if of_caller.included is not None and not any(map(of_caller.permits, of_caller.included)):
        raise PermissionDenied(
            "The models of this key and of its account have none in common."
            + _why(of_caller.included, of_caller)
        )
    together = of_caller.and_also(requested)
    if together.included is None or any(map(together.permits, together.included)):
        return together
    if requested.included is None or any(map(of_caller.permits, requested.included)):
        raise InvalidModel(
            "`models` excludes every model that this request may use. Remove an exclusion from it.",
            param="models",
        )
    raise PermissionDenied(
        "This key may use none of the models named in `models`." + _why(requested.included, of_caller),
        param="models",
    )


def resolve_model(name: str, names: NameBook, param: str) -> Resolved:
    """The catalog id that a name means. Raises InvalidModel with near matches, about the field `param`."""
    resolved = names.resolve(name)
    if not resolved.id:
        raise _unknown(f"There is no model {name!r}.", resolved.near, param)
    return resolved


def check_pinned(model: str, caller: Caller, names: NameBook) -> None:
    """Raises PermissionDenied when the key or the account does not permit the model that a request names."""
    rules = rules_of_caller(caller, names)
    if not rules.permits(model):
        raise PermissionDenied(f"This key may not use {model}.{_why([model], rules)}", param="model")


_CHANGES = {
    "key": "create a key without that rule on the Keys page",
    "account": "change Models on the Settings page",
}


def _why(models: Iterable[str], rules: ModelRules) -> str:
    """Which setting forbids these models, and where to change it."""
    for model in sorted(models):
        if who := rules.excluded.get(model):
            return f" The {who} excludes {model}: {_CHANGES[who]}."
    return " The models of the key or of the account do not include it. Ask its owner to allow it."


def _rules(entries: Iterable[str], who: str, names: NameBook) -> ModelRules:
    included: set[str] | None = None
    excluded: set[str] = set()
    for entry in entries:
        if entry.startswith("-"):
            excluded |= _models(entry[1:], names, successors=False)
        else:
            included = (included or set()) | _models(entry, names, successors=who == "request")
    return ModelRules(None if included is None else frozenset(included), dict.fromkeys(excluded, who))


def _models(name: str, names: NameBook, *, successors: bool) -> set[str]:
    """`successors`: a retired id means its successor; otherwise it means only itself."""
    provider = _provider(name)
    if provider is not None:
        return set(names.models_of(provider))
    resolved = names.resolve(name)
    return {name if not resolved.id or (resolved.replaced_from and not successors) else resolved.id}


def _provider(name: str) -> str | None:
    """The provider of a wildcard `provider/*`; None: it is a model."""
    return name[:-2] if name.endswith("/*") else None


def _check(entry: str, names: NameBook) -> None:
    name = entry.removeprefix("-")
    provider = _provider(name)
    if provider is None:
        resolve_model(name, names, "models")
    elif not names.models_of(provider):
        near = get_close_matches(provider, names.providers, n=3, cutoff=0.5)
        raise _unknown(f"There is no provider {provider!r}.", [f"{other}/*" for other in near], "models")


def _unknown(message: str, near: Collection[str], param: str) -> InvalidModel:
    meant = f" Did you mean {', '.join(near)}?" if near else " See GET /api/v1/models."
    return InvalidModel(message + meant, param=param, details={"near_matches": list(near)})
