"""Anthropic's adapter: the Messages API."""

import re

from routing.language.arms import ApiFacts, Capability, Tokenizer
from routing.providers.anthropic import answers, requests
from routing.providers.anthropic.errors import classify
from routing.providers.shared.adapter import Adapter, Api


def _auth_header(api_key: str) -> tuple[str, str]:
    return "x-api-key", api_key


ANTHROPIC = Adapter(
    dialect="anthropic",
    api=Api(requests.build, answers.Stream, answers.whole),
    auth_header=_auth_header,
    classify=classify,
    facts=ApiFacts(frozenset({Capability.STOP, Capability.MANY_TOOLS}), tokenizer=Tokenizer.CLAUDE_4_7),
    caches_at_marks=True,
    tool_names=re.compile(r"[a-zA-Z0-9_-]{1,128}"),
)
