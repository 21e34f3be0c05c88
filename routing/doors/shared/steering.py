"""Steering under `/v1`: by the model's name and by headers, as the bodies there have no fields for it."""

from collections.abc import Mapping

from drf_spectacular.utils import OpenApiParameter

from routing.doors.shared.errors import validation_error
from routing.doors.shared.wire_types import IDEMPOTENCY_KEY, MAX_NAME
from routing.language.chat import Mode, Steering, Strategy
from routing.language.errors import InvalidModel

_PREFIX = "x-routeplex-"
_NO_HEADERS: Mapping[str, str] = {}
SMART_NAMES = frozenset({"routeplex-ai", "auto", "routeplex/auto", "routeplex/routeplex-ai"})


def _header(name: str, kind: type, description: str, enum: list[str] | None = None) -> OpenApiParameter:
    return OpenApiParameter(name, kind, OpenApiParameter.HEADER, description=description, enum=enum)


HEADERS = [
    IDEMPOTENCY_KEY,
    _header("X-RoutePlex-Strategy", str, "How to choose.", [str(strategy) for strategy in Strategy]),
    _header("X-RoutePlex-Test-Mode", bool, "Only models of the default tier."),
    _header("X-RoutePlex-Enhance", bool, "Rewrite the last user message first."),
    _header(
        "X-RoutePlex-Models",
        str,
        "The candidates, separated by commas: ids or provider/*; a leading - excludes.",
    ),
    _header("X-RoutePlex-Max-Cost-USD", float, "Leave out candidates expected to cost more."),
    _header("X-RoutePlex-Fallback", bool, "false: one model only, its error is the answer."),
    _header("X-RoutePlex-Rescue", bool, "Whether the next model continues a stream that is cut."),
]


def steering(model: str, headers: Mapping[str, str], *, stream: bool) -> Steering:
    """Parse the model's name and the headers. Raises InvalidModel or ValidationError."""
    # Few requests have such headers; names are joined faster than eight are looked up.
    if _PREFIX not in " ".join(headers).lower():
        headers = _NO_HEADERS
    strategy = _strategy_header(headers)
    base, colon, suffix = model.strip().partition(":")
    smart = base.lower() in SMART_NAMES
    if smart and colon:
        strategy = _strategy_suffix(suffix)
    if not base:
        raise InvalidModel('Name a model, or "routeplex-ai" for Smart Routing.', param="model")
    return Steering(
        mode=Mode.SMART if smart else Mode.MANUAL,
        model=None if smart else model,
        strategy=strategy,
        test_mode=_flag_header(headers, "X-RoutePlex-Test-Mode") or False,
        enhance_prompt=_flag_header(headers, "X-RoutePlex-Enhance") or False,
        models=_models_header(headers),
        fallback=_flag_header(headers, "X-RoutePlex-Fallback"),
        rescue=_flag_header(headers, "X-RoutePlex-Rescue"),
        max_cost_usd=_cost_header(headers),
        stream=stream,
    )


def _strategy_suffix(suffix: str) -> Strategy:
    if suffix not in list(Strategy):
        names = [f"routeplex-ai:{strategy}" for strategy in Strategy]
        raise InvalidModel(
            f"There is no strategy {suffix[:40]!r}. Use one of: {', '.join(names)}.",
            param="model",
            details={"near_matches": names},
        )
    return Strategy(suffix)


def _strategy_header(headers: Mapping[str, str]) -> Strategy | None:
    name = "X-RoutePlex-Strategy"
    value = headers.get(name)
    if value is None:
        return None
    if value.strip().lower() not in list(Strategy):
        raise _header_error(name, f"Must be one of: {', '.join(Strategy)}.")
    return Strategy(value.strip().lower())


def _flag_header(headers: Mapping[str, str], name: str) -> bool | None:
    value = headers.get(name)
    if value is None:
        return None
    if value.strip().lower() not in ("true", "false"):
        raise _header_error(name, "Must be true or false.")
    return value.strip().lower() == "true"


def _models_header(headers: Mapping[str, str]) -> tuple[str, ...]:
    header = "X-RoutePlex-Models"
    value = headers.get(header)
    if value is None:
        return ()
    models = tuple(name.strip() for name in value.split(",") if name.strip())
    if not models or len(models) > 100 or any(len(model) > MAX_NAME for model in models):
        raise _header_error(header, "Must list 1 to 100 models, separated by commas.")
    return models


def _cost_header(headers: Mapping[str, str]) -> float | None:
    name = "X-RoutePlex-Max-Cost-USD"
    value = headers.get(name)
    if value is None:
        return None
    try:
        usd = float(value)
    except ValueError:
        usd = -1.0
    if not 0 <= usd < float("inf"):
        raise _header_error(name, "Must be an amount of USD, such as 0.01.")
    return usd


def _header_error(name: str, message: str) -> Exception:
    return validation_error([{"field": name, "message": message}])
