"""Samples of an operation in curl, Python and JavaScript, as the documentation shows samples."""

import json
import re
import shlex
from pprint import pformat

from routing.pages.api_reference.operations import Operation, usual_value
from routing.pages.docs.markdown import SITE, render

KEY = "rp_live_YOUR_KEY"
_PARAMETER = re.compile(r"\{(\w+)\}")


def samples_html(operation: Operation) -> str:
    """Tabs of the three languages; the address in them is SITE."""
    samples = (("sh", curl(operation)), ("python", python(operation)), ("javascript", javascript(operation)))
    source = "\n".join(f"~~~~{language}\n{code}~~~~" for language, code in samples)
    return render(source, lambda target: target).html


def curl(operation: Operation) -> str:
    parts = [f"curl {_url(operation)}"]
    if operation.method not in ("GET", "POST"):
        parts[0] = f"curl -X {operation.method} {_url(operation)}"
    if operation.needs_key:
        parts.append(f'-H "Authorization: Bearer {KEY}"')
    if operation.example is not None:
        parts.append('-H "Content-Type: application/json"')
        parts.append(f"-d {shlex.quote(_json(operation))}")
    return " \\\n  ".join(parts) + "\n"


def python(operation: Operation) -> str:
    lines = ["import httpx  # pip install httpx", ""]
    arguments = [f'"{_url(operation)}"']
    if operation.needs_key:
        lines.append(f'headers = {{"Authorization": "Bearer {KEY}"}}')
        arguments.append("headers=headers")
    if operation.example is not None:
        lines.append(f"body = {pformat(operation.example, width=88, sort_dicts=False)}")
        arguments.append("json=body")
    if operation.streams:
        arguments.append("timeout=120")
    call = f"httpx.{operation.method.lower()}({', '.join(arguments)})"
    return "\n".join([*lines, f"response = {call}", "print(response.text)", ""])


def javascript(operation: Operation) -> str:
    options = [] if operation.method == "GET" else [f'  method: "{operation.method}",']
    headers = [f'Authorization: "Bearer {KEY}"'] if operation.needs_key else []
    if operation.example is not None:
        headers.append('"Content-Type": "application/json"')
    if headers:
        options.append(f"  headers: {{ {', '.join(headers)} }},")
    if operation.example is not None:
        body = _json(operation).replace("\n", "\n  ")
        options.append(f"  body: JSON.stringify({body}),")
    settings = ", {\n" + "\n".join(options) + "\n}" if options else ""
    return (
        f'const response = await fetch("{_url(operation)}"{settings});\nconsole.log(await response.text());\n'
    )


def _url(operation: Operation) -> str:
    return SITE + _PARAMETER.sub(lambda match: usual_value(match[1]), operation.path)


def _json(operation: Operation) -> str:
    return json.dumps(operation.example, indent=2, ensure_ascii=False)
