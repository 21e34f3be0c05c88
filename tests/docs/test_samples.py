"""Every sample of the guide, as its page shows it, runs against the live server."""

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from html import unescape
from itertools import pairwise
from pathlib import Path

import httpx
import pytest

from routing.pages.docs.library import library
from routing.pages.docs.markdown import SITE, Sample
from tests.conftest import Simulator

KEY = "rp_live_YOUR_KEY"
RUN = ("sh", "python", "javascript")
NOT_RUN = ("json", "console")  # data, and commands for the reader's own machine
_BLOCK = re.compile(r'<code id="[^"]+" data-language="(\w*)">(.*?)</code>', re.DOTALL)


def samples() -> Iterator[tuple[str, int, Sample]]:
    for page in library().pages:
        if page.is_guide:
            for number, sample in enumerate(page.document.samples):
                yield page.slug, number, sample


SAMPLES = [
    pytest.param(slug, number, sample.language, id=f"{slug}-{number}-{sample.language}")
    for slug, number, sample in samples()
    if sample.language in RUN
]


def test_every_sample_is_run_or_no_program() -> None:
    assert {sample.language for _, _, sample in samples()} <= {*RUN, *NOT_RUN}
    assert len(SAMPLES) > 60
    for _, _, sample in samples():
        if sample.language == "json" and "…" not in sample.code:
            json.loads(sample.code)


@pytest.mark.parametrize(("slug", "number", "language"), SAMPLES)
def test_a_sample_runs(
    slug: str,
    number: int,
    language: str,
    server: str,
    api_key: str,
    simulator: Simulator,
    request: pytest.FixtureRequest,
) -> None:
    html = httpx.get(f"{server}/docs/{slug}").raise_for_status().text
    shown_language, code = _BLOCK.findall(html)[number]
    assert shown_language == language
    code = unescape(re.sub(r"</?span[^>]*>", "", code)).replace(KEY, api_key)
    assert SITE not in code
    run(language, code, server, request)


def run(language: str, code: str, server: str, request: pytest.FixtureRequest) -> None:
    """Run a sample; a curl command is sent by httpx, because curl need not be installed."""
    assert server in code
    if language == "sh":
        answer = send(code)
        assert answer.status_code == 200, answer.text
        return
    if language == "python":
        command, folder = [sys.executable, "-c", code], None
    else:
        needs_package = 'from "openai"' in code
        folder = request.getfixturevalue("node_modules" if needs_package else "tmp_path")
        script = Path(folder) / "sample.mjs"
        script.write_text(code)
        command = [str(Path(sys.executable).parent / "node"), str(script)]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    if "print(" in code or "console.log" in code:
        assert ran.stdout.strip()
        assert "undefined" not in ran.stdout


def send(command: str) -> httpx.Response:
    words = shlex.split(command.replace("\\\n", " "))
    assert words[0] == "curl"
    url = next(word for word in words[1:] if word.startswith("http"))
    pairs = list(pairwise(words))
    headers = dict(value.split(": ", 1) for flag, value in pairs if flag == "-H")
    bodies = [value for flag, value in pairs if flag == "-d"]
    assert {word for word in words if word.startswith("-")} <= {"-H", "-d", "-N"}
    if not bodies:
        return httpx.get(url, headers=headers, timeout=30)
    json.loads(bodies[0])
    return httpx.post(url, headers=headers, content=bodies[0], timeout=30)
