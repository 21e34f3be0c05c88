"""The encoder's files that ship: complete, small, and those that the card describes."""

import hashlib
import json

from routing.encoder.artefact import ARTEFACT, CARD, MODEL, is_available

MOST_BYTES = 25_000_000


def test_the_files_that_ship_can_be_used() -> None:
    assert is_available()


def test_the_card_describes_the_model_that_ships() -> None:
    card = json.loads((ARTEFACT / CARD).read_text())
    digest = hashlib.sha256((ARTEFACT / MODEL).read_bytes()).hexdigest()
    assert card["sha256"] == digest
    assert card["version"].endswith(digest[:8])


def test_the_files_stay_small() -> None:
    assert sum(file.stat().st_size for file in ARTEFACT.iterdir()) < MOST_BYTES
