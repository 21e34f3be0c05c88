"""The verdict on a request in a few lines: what happened, why that model, and its cost against others."""

from billing.models import Request
from core.numbers.formats import duration, money_text, percent
from routing.pages.request_detail.explanation import Candidate
from routing.templatetags.pages import model_text

_NEAR = 1.25  # a cost within this factor of its forecast needs no words
_ENDED = {
    Request.Status.FAILED: "No model answered",
    Request.Status.ABORTED: "The caller left before the end of the answer",
    Request.Status.EXPIRED: "The process that served it ended",
}


def verdict(row: Request, reason: str, expected: Candidate | None, failed: int) -> list[str]:
    """Two to four sentences; none is empty. `expected`: the candidate that answered, as it was forecast."""
    why = reason or "No reason was recorded for this request."
    lines = [_happened(row, failed), why, _against_forecast(row, expected), _saved(row)]
    return [line for line in lines if line]


def _happened(row: Request, failed: int) -> str:
    if row.status == Request.Status.OPEN:
        return f"{model_text(row.routed_model, row.routed_effort)} is answering."
    money = "at an unknown price" if row.unpriced else f"for {money_text(row.cost_usd)}"
    after = f", after {failed} failed attempt{'s' if failed > 1 else ''}" if failed else ""
    if row.status in _ENDED:
        reason = f": {row.error_message}" if row.error_message else ""
        return f"{_ENDED[Request.Status(row.status)]}{after}{reason}".rstrip(".") + "."
    served = model_text(row.served_model, row.served_effort)
    took = f"in {duration(row.latency_ms)} {money}" if row.latency_ms is not None else money
    if row.status == Request.Status.PARTIAL:
        return f"{served} began to answer, and the answer broke off {took}{after}."
    cut = f", cut at {row.output_tokens:,} tokens" if row.finish_reason == "length" else ""
    return f"{served} answered {took}{after}{cut}."


def _against_forecast(row: Request, expected: Candidate | None) -> str:
    """Empty where the cost came near the forecast, or no forecast exists."""
    if expected is None or not expected.cost_usd or not row.cost_usd:
        return ""
    ratio = float(row.cost_usd) / expected.cost_usd
    if 1 / _NEAR <= ratio <= _NEAR:
        return ""
    less = "less" if ratio < 1 else "more"
    line = f"It cost {less} than the {money_text(expected.cost_usd)} expected"
    if expected.output_tokens:
        line += f": {row.output_tokens:,} output tokens, where {expected.output_tokens:,} were forecast"
    return f"{line}."


def _saved(row: Request) -> str:
    if row.baseline_usd is None or row.cost_usd is None or not row.baseline_usd:
        return ""
    saved = row.baseline_usd - row.cost_usd
    if not saved:
        return f"The baseline, {_baseline(row)}, would have cost the same."
    more = "less" if saved > 0 else "more"
    return (
        f"That is {money_text(abs(saved))} ({percent(abs(saved / row.baseline_usd))}) {more} than "
        f"the baseline, {_baseline(row)}, would have cost."
    )


def _baseline(row: Request) -> str:
    """With its effort: the model that answered may be the baseline's, at another effort."""
    return f"{model_text(row.baseline_model, '')} at its default effort"
