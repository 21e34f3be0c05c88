"""The published `openai` client for Node, unmodified; Node itself comes with the development packages."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BIN = Path(sys.executable).parent


@pytest.fixture
def outcome(node_modules: Path, server: str, api_key: str) -> Any:
    environment = os.environ | {"ROUTEPLEX_URL": server, "ROUTEPLEX_KEY": api_key}
    command = [BIN / "node", "calls.mjs"]
    ran = subprocess.run(
        command, cwd=node_modules, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def test_the_node_client_creates_streams_lists_and_raises_typed_errors(outcome: Any) -> None:
    answer = "The capital of France is Paris."
    assert (outcome["content"], outcome["streamed"]) == (answer, answer)
    assert outcome["streamedTokens"] > 0
    assert outcome["strategy"] == "cost"
    assert outcome["firstModel"] == "routeplex-ai"
    assert outcome["errors"] == {
        "key": "AuthenticationError",
        "model": "BadRequestError",
        "unknown": "NotFoundError",
        "empty": "BadRequestError",
    }
