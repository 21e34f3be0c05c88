"""System check: all of the Stripe settings are set, or none."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

NEEDED = ("STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRET", "STRIPE_METER_EVENT", "STRIPE_PRICE")


@register
def check_stripe(**_: Any) -> list[CheckMessage]:
    missing = [name for name in NEEDED if not getattr(settings, name)]
    if not missing or len(missing) == len(NEEDED):
        return []
    hint = "Set all four, or none to use no Stripe (docs/stripe.md)."
    return [
        Error(
            f"The Stripe settings are incomplete: {', '.join(missing)} is missing.",
            hint=hint,
            id="stripe_meter.E001",
        )
    ]
