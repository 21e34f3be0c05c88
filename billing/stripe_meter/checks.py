"""System check: Stripe is set whole or not at all."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

NEEDED = ("STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRET", "STRIPE_METER_EVENT", "STRIPE_PRICE")


@register
def check_stripe(**_: Any) -> list[CheckMessage]:
    missing = [name for name in NEEDED if not getattr(settings, name)]
    if not missing or len(missing) == len(NEEDED):
        return []
    hint = "Set all four, or none for no Stripe (docs/stripe.md)."
    return [
        Error(f"Stripe is set by half: {', '.join(missing)} is missing.", hint=hint, id="stripe_meter.E001")
    ]
