"""Documentation from Markdown: HTML with heading anchors, highlighted samples in tabs, and its sections."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound

SITE = "http://localhost:8000"  # the address that samples use; the page shows the reader's own instead
_LANGUAGES = {"sh": "curl", "python": "Python", "javascript": "JavaScript", "json": "JSON"}
_CONTENTS = ("h2", "h3")  # headings listed in the table of contents
_COMMENT = re.compile(r"<!--.*?-->\n?", re.DOTALL)

Link = Callable[[str], str | None]


@dataclass(frozen=True)
class Section:
    """A heading and the text below it, until the next heading; `level`: 1 for the page's title.

    `prose` is the text without samples.
    """

    anchor: str
    title: str
    level: int
    text: str
    prose: str


@dataclass(frozen=True)
class Sample:
    """A fenced block. `title`: the label of its tab."""

    language: str
    title: str
    code: str


@dataclass(frozen=True)
class Document:
    """A rendered page. `html` is without its title; `contents` are the sections to list beside it."""

    title: str
    html: str
    sections: tuple[Section, ...]
    samples: tuple[Sample, ...]

    @property
    def contents(self) -> tuple[Section, ...]:
        return tuple(section for section in self.sections if section.level in (2, 3))


def render(source: str, link: Link) -> Document:
    """Render Markdown. `link` maps a target to a URL, or to None for one that has no page here."""
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = markdown.parse(_COMMENT.sub("", source))
    title = tokens[1].content if tokens and tokens[0].tag == "h1" else ""
    body = tokens[3:] if title else tokens
    sections = _sections(tokens)
    anchors = iter([section.anchor for section in sections if section.level > 1])
    for token in body:
        if token.type == "heading_open":
            token.attrSet("id", next(anchors))
        for child in token.children or ():
            _rewrite(child, link)
    _link_headings(body)
    samples = tuple(sample(token) for token in tokens if token.type == "fence")
    html = "".join(_blocks(body, markdown))
    return Document(title, html, sections, samples)


def anchor_of(title: str) -> str:
    """Return the anchor that GitHub generates from a heading, so that links work in both places."""
    return re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-")


def sample(token: Token) -> Sample:
    """A fence's info is its language and, optionally, the label of its tab."""
    language, _, title = token.info.strip().partition(" ")
    return Sample(language, title or _LANGUAGES.get(language, language), token.content)


def _sections(tokens: list[Token]) -> tuple[Section, ...]:
    """Split a page at its headings. Text is without markup; samples and tables count as text."""
    sections: list[Section] = []
    used: dict[str, int] = {}
    heading: tuple[str, int] = ("", 1)
    words: list[str] = []
    prose: list[str] = []

    def close() -> None:
        title, level = heading
        if title or words:
            anchor = anchor_of(title)
            count = used.get(anchor, 0)
            used[anchor] = count + 1
            unique = f"{anchor}-{count}" if count else anchor
            sections.append(Section(unique, title, level, _joined(words), _joined(prose)))

    for position, token in enumerate(tokens):
        if token.type == "heading_open":
            close()
            heading, words, prose = (_plain(tokens[position + 1]), int(token.tag[1])), [], []
        elif token.type == "inline" and tokens[position - 1].type != "heading_open":
            words.append(_plain(token))
            prose.append(_plain(token))
        elif token.type in ("fence", "code_block"):
            words.append(token.content)
    close()
    return tuple(sections)


def _joined(parts: list[str]) -> str:
    return " ".join(" ".join(parts).split())


def _plain(token: Token) -> str:
    children = token.children or []
    return "".join(
        " " if child.type in ("softbreak", "hardbreak") else child.content
        for child in children
        if child.type in ("text", "code_inline", "softbreak", "hardbreak")
    )


def _rewrite(token: Token, link: Link) -> None:
    """Point a link at its page; a target outside the documentation loses its link."""
    if token.type == "link_open":
        href = link(str(token.attrGet("href") or ""))
        if href is None:
            token.attrs = {}
        else:
            token.attrSet("href", href)


def _link_headings(tokens: list[Token]) -> None:
    """Let each heading link to itself."""
    for heading, inline in pairwise(tokens):
        if heading.type == "heading_open" and heading.tag in _CONTENTS and inline.children is not None:
            link_open = Token(
                "link_open", "a", 1, attrs={"href": f"#{heading.attrGet('id')}", "class": "anchor"}
            )
            # Links do not nest: a heading that contains a link keeps only that.
            if not any(child.type == "link_open" for child in inline.children):
                inline.children = [link_open, *inline.children, Token("link_close", "a", -1)]


def _blocks(tokens: list[Token], markdown: MarkdownIt) -> list[str]:
    """Render blocks: adjacent fences become tabs, and tables scroll on their own."""
    rendered: list[str] = []
    waiting: list[Token] = []  # tokens that are neither fences nor whole tables
    position, group, tables = 0, 0, 0

    def flush() -> None:
        rendered.append(markdown.renderer.render(waiting, markdown.options, {}))
        waiting.clear()

    while position < len(tokens):
        token = tokens[position]
        if token.type == "fence" and token.level == 0:
            flush()
            fences = []
            while position < len(tokens) and tokens[position].type == "fence":
                fences.append(sample(tokens[position]))
                position += 1
            group += 1
            rendered.append(_tabs(fences, group))
            continue
        if token.type == "table_open":
            flush()
            rendered.append('<div class="table-shell"><div class="table-scroll" tabindex="0" role="region"')
            tables += 1
            rendered.append(f' aria-label="Table {tables}: {escape(_header(tokens, position))}">')
            token.attrSet("class", "table doc-table")
        waiting.append(token)
        if token.type == "table_close":
            flush()
            rendered.append("</div></div>")
        position += 1
    flush()
    return rendered


def _header(tokens: list[Token], position: int) -> str:
    """The column heads of the table that opens at the position, which name it to screen readers."""
    heads = []
    for token, inline in pairwise(tokens[position:]):
        if token.type == "thead_close":
            break
        if token.type == "th_open":
            heads.append(inline.content)
    return ", ".join(filter(None, heads))


def _tabs(samples: list[Sample], group: int) -> str:
    """Samples as tabs of radio buttons, which work without a script; a single sample has no tab."""
    if len(samples) == 1:
        return _box(samples[0], f"code-{group}")
    parts = ['<div class="code-tabs">']
    for number, item in enumerate(samples):
        identifier = f"tab-{group}-{number}"
        checked = " checked" if number == 0 else ""
        parts.append(
            f'<input class="sr-only" type="radio" name="tabs-{group}" id="{identifier}"'
            f' data-code-tab="{escape(item.title)}"{checked}>'
            f'<label for="{identifier}">{escape(item.title)}</label>'
        )
    parts += [_box(item, f"code-{group}-{number}") for number, item in enumerate(samples)]
    return "".join([*parts, "</div>"])


def _box(item: Sample, identifier: str) -> str:
    label = escape(item.title or "Code")
    return (
        f'<div class="copybox doc-code"><pre tabindex="0" role="region" aria-label="{label}">'
        f'<code id="{identifier}" data-language="{escape(item.language)}">{_highlighted(item)}</code></pre>'
        f'<button class="btn btn-sm" type="button" data-copy="#{identifier}"><span data-copy-label'
        ' aria-live="polite">Copy</span></button></div>'
    )


def _highlighted(item: Sample) -> str:
    try:
        lexer: Any = get_lexer_by_name(item.language or "text", stripnl=False)
    except ClassNotFound:
        return escape(item.code)
    return str(highlight(item.code, lexer, HtmlFormatter(nowrap=True)))
