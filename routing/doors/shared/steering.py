"""Steering under `/v1`, where bodies have no room for it: by the model's name and by headers."""

from collections.abc import Mapping

from drf_spectacular.utils import OpenApiParameter

from routing.doors.shared.errors import validation_error
from routing.doors.shared.wire_types import IDEMPOTENCY_KEY, MAX_NAME
from routing.language.chat import Mode, Steering, Strategy
from routing.language.errors import InvalidModel

SMART_NAMES = frozenset({"routeplex-ai", "auto", "routeplex/auto", "routeplex/routeplex-ai"})


def _header(name: str, what: type, told: str, enum: list[str] | None = None) -> OpenApiParameter:
    return OpenApiParameter(name, what, OpenApiParameter.HEADER, description=told, enum=enum)


HEADERS = [
    IDEMPOTENCY_KEY,
    _header("X-RoutePlex-Strategy", str, "How to choose.", [str(one) for one in Strategy]),
    _header("X-RoutePlex-Test-Mode", bool, "Only models of the default tier."),
    _header("X-RoutePlex-Enhance", bool, "Rewrite the last user message first."),
    _header("X-RoutePlex-Models", str, "The candidates, separated by commas."),
    _header("X-RoutePlex-Max-Cost-USD", float, "Leave out candidates expected to cost more."),
    _header("X-RoutePlex-Fallback", bool, "false: one model only, its error is the answer."),
    _header("X-RoutePlex-Rescue", bool, "Whether the next model continues a stream that is cut."),
]


def steering(model: str, headers: Mapping[str, str], *, stream: bool) -> Steering:
    """How to choose, by the model's name and the headers. Raises InvalidModel or ValidationError."""
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
        names = [f"routeplex-ai:{one}" for one in Strategy]
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
        raise _bad_header(name, f"Must be one of: {', '.join(Strategy)}.")
    return Strategy(value.strip().lower())


def _flag_header(headers: Mapping[str, str], name: str) -> bool | None:
    value = headers.get(name)
    if value is None:
        return None
    if value.strip().lower() not in ("true", "false"):
        raise _bad_header(name, "Must be true or false.")
    return value.strip().lower() == "true"


def _models_header(headers: Mapping[str, str]) -> tuple[str, ...]:
    name = "X-RoutePlex-Models"
    value = headers.get(name)
    if value is None:
        return ()
    models = tuple(one.strip() for one in value.split(",") if one.strip())
    if not models or len(models) > 100 or any(len(one) > MAX_NAME for one in models):
        raise _bad_header(name, "Must list 1 to 100 models, separated by commas.")
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
        raise _bad_header(name, "Must be an amount of USD, such as 0.01.")
    return usd


def _bad_header(name: str, message: str) -> Exception:
    return validation_error([{"field": name, "message": message}])
