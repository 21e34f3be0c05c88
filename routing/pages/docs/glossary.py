"""The terms that pages explain: the sections of docs/guide/glossary.md, which is their only list."""

import re
from dataclasses import dataclass
from functools import cache

from routing.pages.docs.library import library

_PAGE = "glossary"
_SENTENCE_END = re.compile(r"(?<=[.!?])\s")


@dataclass(frozen=True)
class Term:
    """`meaning`: the first sentence of its section; `url`: the section."""

    name: str
    meaning: str
    url: str


@cache
def glossary() -> dict[str, Term]:
    """Terms by their anchor, in the order of the page."""
    page = library().page(_PAGE)
    assert page is not None, "docs/guide/index.md lists the glossary"
    return {
        section.anchor: Term(
            section.title, _SENTENCE_END.split(section.prose, 1)[0], f"{page.url}#{section.anchor}"
        )
        for section in page.document.contents
    }
