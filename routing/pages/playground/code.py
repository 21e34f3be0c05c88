"""A request of the playground as code to copy: curl, Python and JavaScript."""

import json
import shlex
from dataclasses import dataclass
from pprint import pformat
from typing import Any

KEY = "rp_live_YOUR_KEY"


@dataclass(frozen=True)
class Sample:
    """`slug` names it in the page."""

    slug: str
    title: str
    code: str


def samples(body: dict[str, Any], base_url: str) -> list[Sample]:
    """The body as a call of `POST /api/v1/chat`. `base_url` has no slash at the end."""
    url = f"{base_url}/api/v1/chat"
    as_json = json.dumps(body, indent=2, ensure_ascii=False)
    curl = _CURL.format(url=url, key=KEY, body=shlex.quote(as_json))
    python = _PYTHON.format(url=url, key=KEY, body=pformat(body, width=88, sort_dicts=False))
    javascript = _JAVASCRIPT.format(url=url, key=KEY, body=as_json)
    return [
        Sample("curl", "curl", curl),
        Sample("python", "Python", python),
        Sample("javascript", "JavaScript", javascript),
    ]


_CURL = """\
curl {url} \\
  -H "Authorization: Bearer {key}" \\
  -H "Content-Type: application/json" \\
  -d {body}
"""

_PYTHON = """\
import httpx  # pip install httpx

body = {body}
headers = {{"Authorization": "Bearer {key}"}}
response = httpx.post("{url}", headers=headers, json=body, timeout=120)
print(response.raise_for_status().json()["data"]["output"])
"""

_JAVASCRIPT = """\
const body = {body};
const response = await fetch("{url}", {{
  method: "POST",
  headers: {{ Authorization: "Bearer {key}", "Content-Type": "application/json" }},
  body: JSON.stringify(body),
}});
console.log((await response.json()).data.output);
"""
