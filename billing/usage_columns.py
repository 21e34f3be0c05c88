"""The token columns that requests, attempts, hourly sums and statement lines share."""

from django.db import models
from django.db.models import F

from billing.usage import Usage

TOKEN_COLUMNS = (
    "uncached_input_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "cache_write_1h_tokens",
    "output_tokens",
    "reasoning_tokens",
)
INPUT_TOKENS = (
    F("uncached_input_tokens") + F("cache_read_tokens") + F("cache_write_tokens") + F("cache_write_1h_tokens")
)
TOKENS = INPUT_TOKENS + F("output_tokens")  # of all classes; reasoning is part of output


class UsageColumns(models.Model):
    """Tokens of one completion, in the classes of billing.usage.Usage."""

    uncached_input_tokens = models.PositiveIntegerField(default=0)
    cache_read_tokens = models.PositiveIntegerField(default=0)
    cache_write_tokens = models.PositiveIntegerField(default=0)
    cache_write_1h_tokens = models.PositiveIntegerField(default=0)
    output_tokens = models.PositiveIntegerField(default=0)  # includes reasoning_tokens
    reasoning_tokens = models.PositiveIntegerField(default=0)

    class Meta:
        abstract = True

    @property
    def usage(self) -> Usage:
        return Usage(**{name: getattr(self, name) for name in TOKEN_COLUMNS})


class SummedUsageColumns(UsageColumns):
    """Tokens of many completions together: the same columns, wide enough for sums."""

    uncached_input_tokens = models.PositiveBigIntegerField(default=0)
    cache_read_tokens = models.PositiveBigIntegerField(default=0)
    cache_write_tokens = models.PositiveBigIntegerField(default=0)
    cache_write_1h_tokens = models.PositiveBigIntegerField(default=0)
    output_tokens = models.PositiveBigIntegerField(default=0)
    reasoning_tokens = models.PositiveBigIntegerField(default=0)

    class Meta:
        abstract = True


def usage_fields(usage: Usage) -> dict[str, int]:
    """The values of the token columns for a usage."""
    return {name: getattr(usage, name) for name in TOKEN_COLUMNS}
