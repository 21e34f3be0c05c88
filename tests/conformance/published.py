"""OpenAI's published API schema, and whether a document is what it says.

`data/openai_schemas.json` holds the part of it that our two OpenAI-shaped doors speak.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

_FILE = Path(__file__).parent / "data" / "openai_schemas.json"


@cache
def _validator(name: str) -> Draft202012Validator:
    schemas: dict[str, Any] = json.loads(_FILE.read_text())
    return Draft202012Validator(schemas | {"$ref": f"#/components/schemas/{name}"})


def faults(name: str, document: Any) -> list[str]:
    """Where `document` is not what the schema of that name says; empty if it is."""
    return [f"{error.json_path}: {error.message[:300]}" for error in _validator(name).iter_errors(document)]
