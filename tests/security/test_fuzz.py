"""Schema fuzz: nothing that the OpenAPI document allows or forbids causes a 500."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")


# The bodies of these have by far the most cases; each runs alone, so that several workers share them.
CHAT = ("^/v1/chat", "^/v1/responses", "^/v1/messages", "^/api/v1/(chat|route)")
GROUPS = [("--include-path-regex", path) for path in CHAT] + [("--exclude-path-regex", "|".join(CHAT))]


@pytest.mark.parametrize(("choice", "paths"), GROUPS)
def test_no_input_of_any_endpoint_is_a_server_error(
    server: str, api_key: str, choice: str, paths: str
) -> None:
    """Positive and negative cases of every operation; `make fuzz N=500` sends more."""
    command = [str(SCHEMATHESIS), "run", f"{server}/api/v1/openapi.json", "--url", server]
    command += ["--header", f"Authorization: Bearer {api_key}", "--phases", "examples,coverage,fuzzing"]
    command += ["--checks", "not_a_server_error", "--max-examples", "10", "--seed", "1", "--no-color"]
    command += [choice, paths]
    run = subprocess.run(command, capture_output=True, text=True, timeout=480, check=False)
    assert run.returncode == 0, run.stdout[-4000:]
    reached = re.search(r"Selected: (\d+)/\d+\n\s*Tested: \1\n", run.stdout)
    assert reached is not None, "every operation was reached"
