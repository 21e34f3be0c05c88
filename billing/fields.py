"""A column for compressed JSON: documents that are written often, read rarely and never searched."""

import zlib
from typing import Any

import msgspec
from django.db import models

_LEVEL = 1  # reduces documents to a tenth; higher levels cost more time than they save space


class CompressedJSONField(models.BinaryField):  # type: ignore[type-arg]
    """Stores anything msgspec can encode, returns plain dicts and lists.

    Values are encoded in the thread that writes the row; zlib releases the GIL meanwhile.
    """

    def get_prep_value(self, value: Any) -> bytes | None:
        return None if value is None else zlib.compress(msgspec.json.encode(value), _LEVEL)

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        return None if value is None else msgspec.json.decode(zlib.decompress(bytes(value)))
