"""Stripe's official client, created when first needed, and its errors classified by what to do next.

The library makes no retries; metering.py retries by the state of each event.
"""

from functools import cache
from typing import TYPE_CHECKING

from django.conf import settings

if TYPE_CHECKING:
    import stripe

TIMEOUT_S = 10.0


class CallRefused(Exception):
    """Stripe refused the call, and a retry would not help. The text is Stripe's."""


class NoAnswer(Exception):
    """No answer, or one that leaves open whether the call took effect."""


class TryLater(Exception):
    """The call did not take effect and may succeed later: too many calls, or an unknown API key."""


def is_enabled() -> bool:
    return bool(settings.STRIPE_SECRET_KEY)


def client() -> "stripe.StripeClient":
    return _client(settings.STRIPE_SECRET_KEY, settings.STRIPE_API_BASE)


@cache
def _client(key: str, base: str) -> "stripe.StripeClient":
    import stripe  # imported here: it costs 0.2 s and memory, only where Stripe is used

    return stripe.StripeClient(
        key,
        http_client=stripe.RequestsClient(timeout=TIMEOUT_S),
        max_network_retries=0,
        base_addresses={"api": base} if base else {},
    )


def classified_error(error: Exception) -> Exception:
    """A Stripe error as CallRefused, NoAnswer or TryLater; any other error unchanged."""
    import stripe

    if isinstance(error, stripe.RateLimitError | stripe.AuthenticationError | stripe.PermissionError):
        return TryLater(_text(error))
    if isinstance(error, stripe.InvalidRequestError | stripe.IdempotencyError | stripe.CardError):
        return CallRefused(_text(error))
    return NoAnswer(_text(error)) if isinstance(error, stripe.StripeError) else error


def _text(error: Exception) -> str:
    return str(getattr(error, "user_message", None) or error)[:300]
