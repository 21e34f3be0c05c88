"""The first request as code to paste, with this host and, right after its creation, the key filled in."""

from dataclasses import dataclass

PROMPT = "What is the capital of France?"
PLACEHOLDER = "rp_live_YOUR_KEY"


@dataclass(frozen=True)
class Snippet:
    """`slug` names it in the page; `install` is a command to run first, if any."""

    slug: str
    title: str
    code: str
    install: str = ""


def snippets(base_url: str, key: str) -> list[Snippet]:
    """`base_url` without a slash at the end, as the person's browser reaches us."""
    return [
        Snippet("curl", "curl", _CURL.format(base_url=base_url, key=key, prompt=PROMPT)),
        Snippet(
            "routeplex",
            "Python · routeplex",
            _ROUTEPLEX.format(base_url=base_url, key=key, prompt=PROMPT),
            "pip install routeplex",
        ),
        Snippet(
            "openai",
            "Python · openai",
            openai_snippet(base_url, key),
            "pip install openai",
        ),
        Snippet(
            "javascript",
            "JavaScript",
            _JAVASCRIPT.format(base_url=base_url, key=key, prompt=PROMPT),
            "npm install openai",
        ),
    ]


def openai_snippet(base_url: str, key: str) -> str:
    return _OPENAI.format(base_url=base_url, key=key, prompt=PROMPT)


_CURL = """\
curl {base_url}/api/v1/chat \\
  -H "Authorization: Bearer {key}" \\
  -H "Content-Type: application/json" \\
  -d '{{"messages": [{{"role": "user", "content": "{prompt}"}}]}}'
"""

_ROUTEPLEX = """\
from routeplex import RoutePlex

client = RoutePlex(api_key="{key}", base_url="{base_url}")
response = client.chat("{prompt}")
print(response.output)
print(response.model_used, response.usage.cost_usd)
"""

_OPENAI = """\
from openai import OpenAI

client = OpenAI(api_key="{key}", base_url="{base_url}/v1")
completion = client.chat.completions.create(
    model="routeplex-ai",
    messages=[{{"role": "user", "content": "{prompt}"}}],
)
print(completion.choices[0].message.content)
print(completion.model)
"""

_JAVASCRIPT = """\
import OpenAI from "openai";

const client = new OpenAI({{ apiKey: "{key}", baseURL: "{base_url}/v1" }});
const completion = await client.chat.completions.create({{
  model: "routeplex-ai",
  messages: [{{ role: "user", content: "{prompt}" }}],
}});
console.log(completion.choices[0].message.content, completion.model);
"""
