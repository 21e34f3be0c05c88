"""The documentation pages, read from docs/ once a process; docs/guide/index.md lists them in their order."""

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from posixpath import normpath

from django.conf import settings

from routing.pages.docs.markdown import Document, render

_INDEX = "guide/index.md"
_ENTRY = re.compile(r"^- \[([^\]]+)\]\(([^)]+\.md)\): (.+?)$", re.MULTILINE)
_REFERENCE = "reference/"  # URLs of the pages of docs/ itself; those of docs/guide/ have no prefix


@dataclass(frozen=True)
class Page:
    """`slug`: below /docs/; `summary`: a sentence; `group`: the heading of docs/guide/index.md above it."""

    slug: str
    title: str
    summary: str
    group: str
    document: Document

    @property
    def url(self) -> str:
        return f"/docs/{self.slug}"

    @property
    def is_guide(self) -> bool:
        return not self.slug.startswith(_REFERENCE)


@dataclass(frozen=True)
class Library:
    """Pages in reading order. `introduction`: the first paragraph of the index."""

    introduction: str
    pages: tuple[Page, ...]
    version: str

    @property
    def groups(self) -> dict[str, list[Page]]:
        groups: dict[str, list[Page]] = {}
        for page in self.pages:
            groups.setdefault(page.group, []).append(page)
        return groups

    def page(self, slug: str) -> Page | None:
        return next((page for page in self.pages if page.slug == slug), None)

    def neighbours(self, page: Page) -> tuple[Page | None, Page | None]:
        """The pages before and after."""
        at = self.pages.index(page)
        return (
            self.pages[at - 1] if at else None,
            self.pages[at + 1] if at + 1 < len(self.pages) else None,
        )


@cache
def library() -> Library:
    folder = settings.BASE_DIR / "docs"
    index = (folder / _INDEX).read_text()
    entries = list(_entries(index))
    files = {path for _, path, _, _ in entries}
    pages = tuple(
        Page(
            slug_of(path),
            title,
            summary,
            group,
            render((folder / path).read_text(), lambda target, path=path: _url(target, path, files)),  # type: ignore[misc]
        )
        for title, path, summary, group in entries
    )
    introduction = index.split("\n\n")[1].replace("\n", " ")
    return Library(introduction, pages, _version(settings.BASE_DIR))


@cache
def changelog() -> Document:
    """The project's CHANGELOG.md; its links to documents lead to their pages."""
    known = {path for _, path, _, _ in _entries((settings.BASE_DIR / "docs" / _INDEX).read_text())}
    source = (settings.BASE_DIR / "CHANGELOG.md").read_text()
    return render(source, lambda target: _url(target.removeprefix("docs/"), "", known))


def slug_of(path: str) -> str:
    """The slug of a file below docs/: `guide/errors.md` is errors, `ledger.md` is reference/ledger."""
    stem = path.removesuffix(".md")
    return stem.removeprefix("guide/") if stem.startswith("guide/") else _REFERENCE + stem


def _entries(index: str) -> list[tuple[str, str, str, str]]:
    """Title, path below docs/, summary and group of each page that the index lists."""
    entries = []
    for part in re.split(r"^## ", index, flags=re.MULTILINE)[1:]:
        group = part.partition("\n")[0]
        for title, target, summary in _ENTRY.findall(part):
            entries.append((title, _resolved(target, _INDEX), summary, group))
    return entries


def _url(target: str, path: str, files: set[str]) -> str | None:
    """The URL of a link's target on the page of the file `path`; None: the target has no page."""
    if re.match(r"[a-z]+:|#|/", target):
        return target
    file, _, anchor = target.partition("#")
    resolved = _resolved(file, path)
    if resolved == _INDEX:
        return "/docs"
    if resolved not in files:
        return None
    return f"/docs/{slug_of(resolved)}" + (f"#{anchor}" if anchor else "")


def _resolved(target: str, path: str) -> str:
    return normpath(str(PurePosixPath(path).parent / target))


def _version(base: Path) -> str:
    project = tomllib.loads((base / "pyproject.toml").read_text())["project"]
    return str(project["version"])
