"""Fixtures for tests through the public APIs."""

from tests.door_client import caller as caller
from tests.door_client import streaming as streaming
