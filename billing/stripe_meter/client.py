"""Stripe's official client, made when it is first needed, and its errors sorted by what to do next.

Retries are ours, by the state an event is in: the library makes none.
"""

from functools import cache
from typing import TYPE_CHECKING

from django.conf import settings

if TYPE_CHECKING:
    import stripe

TIMEOUT_S = 10.0


class CallRefused(Exception):
    """Stripe refused the call; trying it again would not help. The text is Stripe's."""


class NoAnswer(Exception):
    """No answer, or one that does not say whether the call was taken."""


class TryLater(Exception):
    """Stripe has not taken it and says so: too many calls, or a key it does not know."""


def is_enabled() -> bool:
    return bool(settings.STRIPE_SECRET_KEY)


def client() -> "stripe.StripeClient":
    return _client(settings.STRIPE_SECRET_KEY, settings.STRIPE_API_BASE)


@cache
def _client(key: str, base: str) -> "stripe.StripeClient":
    import stripe  # 0.2 s and some memory that only those who use it pay

    return stripe.StripeClient(
        key,
        http_client=stripe.RequestsClient(timeout=TIMEOUT_S),
        max_network_retries=0,
        base_addresses={"api": base} if base else {},
    )


def classified_error(error: Exception) -> Exception:
    """What a Stripe error means to the caller; any other error as it is."""
    import stripe

    if isinstance(error, stripe.RateLimitError | stripe.AuthenticationError | stripe.PermissionError):
        return TryLater(_said(error))
    if isinstance(error, stripe.InvalidRequestError | stripe.IdempotencyError | stripe.CardError):
        return CallRefused(_said(error))
    return NoAnswer(_said(error)) if isinstance(error, stripe.StripeError) else error


def _said(error: Exception) -> str:
    return str(getattr(error, "user_message", None) or error)[:300]
