"""How a simulated model goes on with an answer that was cut: as models do, not always from the letter."""

import json
import re

import msgspec

from routing.simulator.shared.prompt import Generation

MANNERS = ("clean", "overlap", "bare")
"""From the letter where it ended; with the last words again; without the space before the first word.
Made to by a fault, it also does "restart": the whole answer from the beginning."""

_GO_ON = re.compile(r"\bcut off\b.*\b(go on|continue)\b", re.I | re.S)
_ENDS = ("", '"', '""', "0", ': ""', '": ""', '"": ""')  # of a JSON document that stops anywhere


def cut_off(generation: Generation) -> tuple[str, Generation] | None:
    """What the assistant had said when it was cut off, and what it had been asked; None: it was not."""
    if len(generation.turns) < 3:
        return None
    *earlier, begun, last = generation.turns
    if (begun.role, last.role) != ("assistant", "user") or not begun.text or not _GO_ON.search(last.text):
        return None
    return begun.text, msgspec.structs.replace(generation, turns=tuple(earlier))


def rest(whole: str, begun: str, manner: str) -> str:
    """What is missing of the answer, by the model whose own answer would be `whole`."""
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
    # Another model began it: go on after as many words of one's own.
    words = list(re.finditer(r"\S+", whole))
    spoken = len(begun.split())
    return whole[words[spoken - 1].end() :] if 0 < spoken <= len(words) else ""


def _document_end(begun: str) -> str:
    """The shortest text that makes a JSON document of what was said."""
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
