"""A column for documents that are written often, read seldom and never searched: JSON, compressed."""

import zlib
from typing import Any

import msgspec
from django.db import models

_LEVEL = 1  # a tenth of the size already; higher levels cost more time than they save room


class CompressedJSONField(models.BinaryField):  # type: ignore[type-arg]
    """Takes anything msgspec can encode, gives back plain dicts and lists.

    Encoding happens when the row is written, in the writer's thread; zlib lets other threads run meanwhile.
    """

    def get_prep_value(self, value: Any) -> bytes | None:
        return None if value is None else zlib.compress(msgspec.json.encode(value), _LEVEL)

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        return None if value is None else msgspec.json.decode(zlib.decompress(bytes(value)))
