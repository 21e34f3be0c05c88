"""Classification of error replies: from any provider's error to one `UpstreamFailure`.

Each provider has a table of rules in its `errors` module. The first rule that matches decides, else the HTTP
status. Errors inside a stream with status 200 use the same tables; only the codes in the body count there.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from routing.providers.shared.failures import FailureKind, UpstreamFailure

Headers = Mapping[str, str]

_SENTENCES = re.compile(r"(?<=[.!?])\s+(?=[(A-Z])")
_ADVICE = re.compile(
    r"https?://|\bwww\.|\b(help|support|status|platform|console)\.\w+\.(com|ai|dev)\b|\bhelp cent(er|re)\b"
    r"|\bcontact (us|support|sales)\b|\bsupport team\b|\brequest ID\b.*\bmessage\b|\bCall ListModels\b",
    re.IGNORECASE,
)
_ADVICE_AT_END = re.compile(
    r",? ?\b(or|and|please|see|visit|report|contact|for more|more at)\b[^.!?]*?"
    r"(https?://|www\.|contact|help cent).*$",
    re.IGNORECASE | re.DOTALL,
)
MAX_DELAY_S = 86_400.0  # a longer wait, stated by mistake or not, counts as a day


class Rule(msgspec.Struct, frozen=True):
    """All conditions that are set must hold: status, code (a regular expression), text in the message."""

    kind: FailureKind
    status: int | None = None
    code: str | None = None
    text: str | None = None


class ErrorFacts(msgspec.Struct, frozen=True):
    """The facts in an error body: its codes from most to least specific, and its message."""

    codes: tuple[str, ...] = ()
    message: str = ""
    delay_s: float | None = None
    status: int | None = None  # the HTTP status that the body states


STATUSES: dict[int, FailureKind] = {
    400: FailureKind.BAD_REQUEST,
    401: FailureKind.AUTH,
    402: FailureKind.QUOTA,
    403: FailureKind.AUTH,
    404: FailureKind.MODEL_GONE,
    408: FailureKind.SERVER,
    409: FailureKind.SERVER,
    410: FailureKind.MODEL_GONE,
    413: FailureKind.CONTEXT,
    422: FailureKind.BAD_REQUEST,
    429: FailureKind.RATE_LIMIT,
    503: FailureKind.OVERLOADED,
    529: FailureKind.OVERLOADED,
}  # any other status: server


def classified(
    rules: tuple[Rule, ...],
    read: Callable[[dict[str, Any]], ErrorFacts],
    status: int,
    headers: Headers,
    body: bytes,
) -> UpstreamFailure:
    """Name the failure: the first rule that matches, else by the status. `read` reads a provider's body."""
    document = _document(body)
    facts = read(document)
    effective = facts.status if status < 300 and facts.status else status
    kind = _matched(rules, effective, facts) or STATUSES.get(effective, FailureKind.SERVER)
    delay = None if kind is FailureKind.QUOTA else _delay_s(headers, facts)
    return UpstreamFailure(
        kind,
        _sentence(kind, status, facts, body),
        status=status,
        retry_after_s=delay,
        provider_code=facts.codes[0][:80] if facts.codes else None,
        provider_request_id=request_id(headers, document.get("request_id")),
        should_retry={"true": True, "false": False}.get(headers.get("x-should-retry", "")),
    )


def _matched(rules: tuple[Rule, ...], status: int, facts: ErrorFacts) -> FailureKind | None:
    message = facts.message.lower()
    for rule in rules:
        if rule.status is not None and rule.status != status:
            continue
        if rule.text is not None and rule.text not in message:
            continue
        if rule.code is not None and not any(re.fullmatch(rule.code, code) for code in facts.codes):
            continue
        return rule.kind
    return None


def _sentence(kind: FailureKind, status: int, facts: ErrorFacts, body: bytes) -> str:
    if kind is FailureKind.AUTH:  # providers echo parts of the key
        return f"the provider refused its credential (HTTP {status})"
    if facts.message:
        return without_advice(facts.message)
    start = body[:200].lstrip().lower()
    if not start:
        return f"HTTP {status} with an empty body"
    if start.startswith((b"<!doctype", b"<html", b"<?xml", b"<head", b"<body")):
        return f"HTTP {status} with an HTML page instead of an answer"
    return f"HTTP {status} with an unknown body"


def without_advice(message: str) -> str:
    """The message without what the provider advises its own customers: its support, links and pages."""
    if not _ADVICE.search(message):
        return message
    first, *rest = _SENTENCES.split(message)  # the first says what is wrong, and may end with advice
    first = _ADVICE_AT_END.sub(".", first).strip()
    return " ".join([first, *(sentence for sentence in rest if not _ADVICE.search(sentence))])


def _delay_s(headers: Headers, facts: ErrorFacts) -> float | None:
    """The provider's waiting time in seconds, at most MAX_DELAY_S."""
    delay_s = _stated_delay_s(headers, facts)
    return None if delay_s is None else min(max(0.0, delay_s), MAX_DELAY_S)


def _stated_delay_s(headers: Headers, facts: ErrorFacts) -> float | None:
    """The waiting time from either header or the body, in this order; negative when it is over."""
    if (milliseconds := _float(headers.get("retry-after-ms"))) is not None:
        return milliseconds / 1000
    value = headers.get("retry-after")
    if value is None:
        return facts.delay_s
    if (seconds := _float(value)) is not None:
        return seconds
    try:
        when = parsedate_to_datetime(value)
    except (TypeError, ValueError, OverflowError):  # a day or year beyond all calendars overflows
        return facts.delay_s
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return (when - datetime.now(UTC)).total_seconds()


def request_id(headers: Headers, in_body: Any = None) -> str | None:
    """The provider's id of the call, which its support asks for."""
    for value in (headers.get("x-request-id"), headers.get("request-id"), in_body):
        if isinstance(value, str) and value:
            return value[:120]
    return None


def _document(body: bytes) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return {}
    if isinstance(value, list) and value:  # Gemini wraps unstreamed errors of its streaming method in a list
        value = value[0]
    return value if isinstance(value, dict) else {}


def json_object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def json_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def strings(*values: Any) -> tuple[str, ...]:
    return tuple(value for value in values if isinstance(value, str) and value)


def status_in_body(value: Any) -> int | None:
    return value if isinstance(value, int) and 300 <= value < 600 else None


def _float(value: str | None) -> float | None:
    try:
        number = float(value) if value is not None else None
    except ValueError:
        return None
    return number if number is not None and abs(number) < 1e9 else None


def duration_s(value: Any) -> float | None:
    return _float(value[:-1]) if isinstance(value, str) and value.endswith("s") else None
