"""Schema fuzz: nothing that the OpenAPI document allows or forbids causes a 500."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")


CHAT = "^/(v1/(chat|responses|messages)|api/v1/(chat|route))"  # their bodies have by far the most cases


@pytest.mark.parametrize("operations", ["--include-path-regex", "--exclude-path-regex"])
def test_no_input_of_any_endpoint_is_a_server_error(server: str, api_key: str, operations: str) -> None:
    """Positive and negative cases of every operation; `make fuzz N=500` sends more."""
    command = [str(SCHEMATHESIS), "run", f"{server}/api/v1/openapi.json", "--url", server]
    command += ["--header", f"Authorization: Bearer {api_key}", "--phases", "examples,coverage,fuzzing"]
    command += ["--checks", "not_a_server_error", "--max-examples", "10", "--seed", "1", "--no-color"]
    command += [operations, CHAT]
    run = subprocess.run(command, capture_output=True, text=True, timeout=480, check=False)
    assert run.returncode == 0, run.stdout[-4000:]
    reached = re.search(r"Selected: (\d+)/\d+\n\s*Tested: \1\n", run.stdout)
    assert reached is not None, "every operation was reached"
