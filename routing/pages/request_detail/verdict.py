"""The verdict on a request in three lines: what happened, why that model, and what it saved."""

from billing.models import Request
from core.formats import duration, money_text, percent
from routing.pages.request_detail.explanation import Explanation
from routing.templatetags.pages import model_text

_ENDED = {
    Request.Status.FAILED: "No model answered",
    Request.Status.ABORTED: "The caller left before the end of the answer",
    Request.Status.EXPIRED: "The process that served it ended",
}


def verdict(row: Request, explanation: Explanation, failed: int) -> list[str]:
    """Two or three sentences; none is empty."""
    reason = explanation.reason or "No reason was recorded for this request."
    lines = [_happened(row, failed), reason, _saved(row)]
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
