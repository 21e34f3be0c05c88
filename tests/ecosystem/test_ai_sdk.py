"""Vercel's AI SDK (Node): its OpenAI-compatible provider, its OpenAI one by both APIs, its Anthropic one."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import LONG, ROOT

HERE = Path(__file__).parent / "node"
BIN = ROOT / ".venv" / "bin"


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the SDK from its lock, once per run."""
    home = tmp_path_factory.mktemp("node")
    for name in ("package.json", "package-lock.json", "calls.mjs"):
        shutil.copy(HERE / name, home)
    environment = os.environ | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    command = [BIN / "npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
    subprocess.run(command, cwd=home, env=environment, check=True, capture_output=True, timeout=180)
    return home


def test_a_tool_a_structured_answer_and_a_stream(home: Path, model: str, address: str, key: str) -> None:
    environment = os.environ | {
        "ROUTEPLEX_URL": address,
        "ROUTEPLEX_KEY": key,
        "ROUTEPLEX_MODEL": model,
        "LONG": LONG,
    }
    ran = subprocess.run(
        [BIN / "node", "calls.mjs"], cwd=home, env=environment, capture_output=True, text=True, timeout=120
    )
    assert ran.returncode == 0, ran.stderr
    for door, result in json.loads(ran.stdout).items():
        assert "21 degrees" in result["tool"], door
        assert "21 degrees" in result["streamedTool"], door
        assert result["steps"] == 2, door
        assert isinstance(result["structured"]["people"], int), door
        assert len(result["streamed"]) > 100, door
        assert result["parts"] > 1, door
        assert result["tokens"] > 0, door
