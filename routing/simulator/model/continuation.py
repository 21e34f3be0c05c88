"""How a simulated model goes on with an answer that was cut: as models do, not always from the letter."""

import json
import re

import msgspec

from routing.simulator.shared.prompt import Ask

MANNERS = ("clean", "overlap", "bare")
"""From the letter where it ended; with the last words again; without the space before the first word.
Made to by a fault, it also does "restart": the whole answer from the beginning."""

_GO_ON = re.compile(r"\bcut off\b.*\b(go on|continue)\b", re.I | re.S)
_ENDS = ("", '"', '""', "0", ': ""', '": ""', '"": ""')  # of a JSON document that stops anywhere


def cut_off(ask: Ask) -> tuple[str, Ask] | None:
    """What the assistant had said when it was cut off, and what it had been asked; None: it was not."""
    if len(ask.turns) < 3:
        return None
    *earlier, said, last = ask.turns
    if (said.role, last.role) != ("assistant", "user") or not said.text or not _GO_ON.search(last.text):
        return None
    return said.text, msgspec.structs.replace(ask, turns=tuple(earlier))


def rest(whole: str, said: str, manner: str) -> str:
    """What is missing of the answer, by the model whose own answer would be `whole`."""
    more = _document_end(said) if said.lstrip().startswith(("{", "[")) else _more(whole, said)
    match manner:
        case "restart":
            return said + more
        case "overlap":
            return said[said.rfind(" ", 0, max(0, len(said) - 20)) + 1 :] + more
        case "bare":
            return more.lstrip()
        case _:
            return more


def _more(whole: str, said: str) -> str:
    if whole.startswith(said):
        return whole[len(said) :]
    # Another model began it: go on after as many words of one's own.
    words = list(re.finditer(r"\S+", whole))
    spoken = len(said.split())
    return whole[words[spoken - 1].end() :] if 0 < spoken <= len(words) else ""


def _document_end(said: str) -> str:
    """The shortest text that makes a JSON document of what was said."""
    closing = ""
    quoted = escaped = False
    for one in said:
        if quoted:
            quoted, escaped = escaped or one != '"', one == "\\" and not escaped
        elif one == '"':
            quoted = True
        elif one in "{[":
            closing = ("}" if one == "{" else "]") + closing
        elif one in "}]":
            closing = closing[1:]
    for end in _ENDS:
        try:
            json.loads(said + end + closing)
        except ValueError:
            continue
        return end + closing
    return ""
