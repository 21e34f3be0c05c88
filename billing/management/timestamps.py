"""How commands read a moment: ISO 8601, UTC unless it says otherwise."""

from datetime import UTC, datetime


def moment(text: str) -> datetime:
    """Raises ValueError, which argparse tells the user."""
    told = datetime.fromisoformat(text)
    return told if told.tzinfo else told.replace(tzinfo=UTC)
