"""How a simulated model continues a cut answer: as real models do, not always at the exact character."""

import json
import re

import msgspec

from routing.simulator.shared.prompt import Generation

MANNERS = ("clean", "overlap", "bare")
"""From the character where it ended; with the last words again; without the space before the first word.
A fault can also demand "restart": the whole answer from the beginning."""

_GO_ON = re.compile(r"\bcut off\b.*\b(go on|continue)\b", re.I | re.S)
_ENDS = ("", '"', '""', "0", ': ""', '": ""', '"": ""')  # of a JSON document that stops anywhere


def cut_off(generation: Generation) -> tuple[str, Generation] | None:
    """The assistant's cut text and the request it answered; None if no cut answer is continued."""
    if len(generation.turns) < 3:
        return None
    *earlier, begun, last = generation.turns
    if (begun.role, last.role) != ("assistant", "user") or not begun.text or not _GO_ON.search(last.text):
        return None
    return begun.text, msgspec.structs.replace(generation, turns=tuple(earlier))


def rest(whole: str, begun: str, manner: str) -> str:
    """The missing rest of the answer, by the model whose own answer would be `whole`."""
    more = _document_end(begun) if begun.lstrip().startswith(("{", "[")) else _more(whole, begun)
    match manner:
        case "restart":
            return begun + more
        case "overlap":
            return begun[begun.rfind(" ", 0, max(0, len(begun) - 20)) + 1 :] + more
        case "bare":
            return more.lstrip()
        case _:
            return more


def _more(whole: str, begun: str) -> str:
    if whole.startswith(begun):
        return whole[len(begun) :]
    # Another model began it: continue after as many words of this model's own answer.
    words = list(re.finditer(r"\S+", whole))
    spoken = len(begun.split())
    return whole[words[spoken - 1].end() :] if 0 < spoken <= len(words) else ""


def _document_end(begun: str) -> str:
    """The shortest text that completes the JSON document that was begun."""
    closing = ""
    quoted = escaped = False
    for character in begun:
        if quoted:
            quoted, escaped = escaped or character != '"', character == "\\" and not escaped
        elif character == '"':
            quoted = True
        elif character in "{[":
            closing = ("}" if character == "{" else "]") + closing
        elif character in "}]":
            closing = closing[1:]
    for end in _ENDS:
        try:
            json.loads(begun + end + closing)
        except ValueError:
            continue
        return end + closing
    return ""
