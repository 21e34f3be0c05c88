"""The `llm` command: a model declared in its file with the base URL, used from the shell."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import LONG, QUESTION, THANKS, WELCOME

LLM = Path(sys.executable).parent / "llm"
TOOL = """def get_weather(city: str) -> str:
    "The weather in a city, now."
    return f"It is 21 degrees in {city}."
"""


@pytest.fixture
def llm(model: str, address: str, key: str, tmp_path: Path):
    (tmp_path / "extra-openai-models.yaml").write_text(
        f"- model_id: routeplex\n  model_name: {model}\n  api_base: {address}\n"
        "  api_key_name: routeplex\n  supports_schema: true\n  supports_tools: true\n"
    )

    (tmp_path / "keys.json").write_text(json.dumps({"routeplex": key}))

    def run(*words: str) -> str:
        environment = os.environ | {"LLM_USER_PATH": str(tmp_path)}
        command = [LLM, "-m", "routeplex", *words]
        ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout.strip()

    return run


def test_it_streams(llm) -> None:
    assert len(llm(LONG)) > 100
    assert llm("--no-stream", "What is the capital of France?") == "The capital of France is Paris."


def test_a_tool_is_called_and_its_result_used(llm) -> None:
    assert "21 degrees" in llm("--functions", TOOL, QUESTION)
    assert llm("--continue", "--functions", TOOL, THANKS) == WELCOME


def test_a_structured_answer(llm) -> None:
    city = json.loads(llm("--schema", "name, people int", "Describe Paris as a city."))
    assert isinstance(city["people"], int)
