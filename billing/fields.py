"""A column for packed JSON: documents that are written often, read rarely and never searched."""

from typing import Any

from django.db import models

from core import packed_json


class CompressedJSONField(models.BinaryField):  # type: ignore[type-arg]
    """Stores any document `core.packed_json` can encode, returns plain dicts and lists.

    Rows that were written as compressed JSON, before the packed form, stay readable.
    """

    def get_prep_value(self, value: Any) -> bytes | None:
        return None if value is None else packed_json.encode(value)

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        return None if value is None else packed_json.decode(bytes(value))
