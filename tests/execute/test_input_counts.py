"""The input of long requests: what it costs and holds does not depend on which parts of it are sampled."""

import base64
import random
import string
from decimal import Decimal
from typing import Any

import httpx
import pytest

from accounts.caller import Limits
from accounts.keys import create_key
from billing.models import Request
from tests.door_client import ChatClient
from tests.execute.test_usage_reports import row_of

MODEL = "gpt-4.1-mini"  # 0.4 USD per million input tokens
CHARACTERS = 200_000
MOST_USD, LEAST_USD = Decimal("0.08"), Decimal("0.04")  # of 140,000 tokens


def _misleading(seed: int = 4) -> str:
    """Dense text with blanks where five evenly spread samples would be taken: 40 times its estimate."""
    draw = random.Random(seed)  # noqa: S311
    text = [draw.choice(string.ascii_letters + string.punctuation) for _ in range(CHARACTERS)]
    step = (CHARACTERS - 800) / 4
    for start in (round(n * step) for n in range(5)):
        for at in range(max(1, start - 10), min(CHARACTERS - 1, start + 810)):
            text[at] = " "
    return "".join(text)


def _ask(server: str, account: Any, usd: Decimal, **fields: Any) -> httpx.Response:
    """The response to a key that may spend so much a day."""
    key = create_key(account, "capped", limits=Limits(daily_usd=usd))[1]
    headers = {"Authorization": f"Bearer {key}"}
    return httpx.post(f"{server}/v1/chat/completions", json=fields, headers=headers, timeout=60)


@pytest.mark.parametrize("streamed", [False, True])
def test_a_text_that_misleads_samples_costs_its_tokens(http: httpx.Client, streamed: bool) -> None:
    messages = [{"role": "user", "content": _misleading(int(streamed))}]  # else the second reads a cache
    row = row_of(ChatClient(http, streamed).ask(messages, model=MODEL, max_output_tokens=20, fallback=False))
    assert (row.status, row.usage_issue, row.usage_estimated) == ("succeeded", "", False)
    assert row.uncached_input_tokens > CHARACTERS / 2
    assert LEAST_USD < (row.cost_usd or 0) < MOST_USD


def test_a_text_that_misleads_samples_passes_no_limit(server: str, account: Any) -> None:
    messages = [{"role": "user", "content": _misleading()}]
    response = _ask(server, account, LEAST_USD, model=MODEL, messages=messages, max_tokens=20)
    assert response.status_code == 429
    assert response.json()["error"]["code"] == "daily_cost_limit_exceeded"
    assert not Request.objects.filter(account=account, cost_usd__gt=0).exists()


def test_a_text_file_holds_what_its_text_costs(server: str, account: Any) -> None:
    text = base64.b64encode(_misleading().encode()).decode()
    file = {"type": "file", "file": {"filename": "a.txt", "file_data": f"data:text/plain;base64,{text}"}}
    question = {"role": "user", "content": [file, {"type": "text", "text": "What is it about?"}]}
    response = _ask(
        server, account, LEAST_USD / 20, model="gemini-2.5-flash", messages=[question], max_tokens=20
    )
    assert response.status_code == 429
