"""Shared by this app's commands: parsing of times, and the name the audit log gets for the person."""

import getpass
from datetime import UTC, datetime


def moment(text: str) -> datetime:
    """Parse ISO 8601, UTC without an offset. Raises ValueError, which argparse reports."""
    parsed = datetime.fromisoformat(text)
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def actor() -> str:
    """The name of the person who runs a command."""
    try:
        return f"manage.py ({getpass.getuser()})"
    except (OSError, KeyError):  # a container's user may have no name
        return "manage.py"
