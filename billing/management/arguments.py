"""What the commands of this app share: how they parse times, and whom the audit log names for them."""

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
