"""The code to copy sends the same request as the playground's form."""

import json
import re
import shlex
import subprocess
import sys
from html import unescape
from pathlib import Path

import httpx

from billing.models import Request
from tests.playground.conftest import Person

FIELDS = {
    "prompt": 'It\'s "quoted", with a \\ and ünïcode:\nwhat is 2 + 2?',
    "system": "Be brief.",
    "temperature": "0.5",
    "target": "strategy:cost",
    "test_mode": "on",
}
BODY = {
    "strategy": "cost",
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": FIELDS["prompt"]},
    ],
    "max_output_tokens": 200,
    "temperature": 0.5,
    "test_mode": True,
}


def shown(owner: Person, language: str, api_key: str) -> str:
    html = owner.post("/playground/code", FIELDS).raise_for_status().text
    match = re.search(rf'<code id="play-code-{language}">(.*?)</code>', html, re.DOTALL)
    assert match, html
    return unescape(match[1]).replace("rp_live_YOUR_KEY", api_key)


def test_curl(owner: Person, api_key: str) -> None:
    words = shlex.split(shown(owner, "curl", api_key).replace("\\\n", " "))
    assert json.loads(words[-1]) == BODY
    headers = dict(
        word.split(": ", 1) for word in words if word.startswith(("Authorization", "Content-Type"))
    )
    assert httpx.post(words[1], headers=headers, content=words[-1], timeout=30).status_code == 200


def test_python(owner: Person, api_key: str) -> None:
    code = shown(owner, "python", api_key)
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip()
    row = Request.objects.latest("created_at")
    assert (row.door, row.strategy) == ("native", "cost")


def test_javascript(owner: Person, api_key: str, tmp_path: Path) -> None:
    script = tmp_path / "sample.mjs"
    script.write_text(shown(owner, "javascript", api_key))
    node = str(Path(sys.executable).parent / "node")
    ran = subprocess.run([node, str(script)], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip()
