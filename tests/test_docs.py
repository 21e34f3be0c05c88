"""The documentation hangs together: the README leads to every page, and every link leads somewhere."""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_NAMED = re.compile(rb"docs/[a-z_]+\.md")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def pages() -> list[Path]:
    return [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


def links(page: Path) -> Iterator[tuple[Path, str]]:
    """Links within the repository: the file, and the anchor or nothing."""
    for target in _LINK.findall(page.read_text()):
        if not re.match(r"[a-z]+:", target):
            path, _, anchor = target.partition("#")
            yield ((page.parent / path).resolve() if path else page), anchor


def anchors(page: Path) -> set[str]:
    """As GitHub makes them from headings."""
    titles = (re.sub(r"[^\w\- ]", "", title.lower()) for title in _HEADING.findall(page.read_text()))
    return {title.strip().replace(" ", "-") for title in titles}


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        reached.add(page)
        waiting += [to for to, _ in links(page) if to.suffix == ".md" and to not in reached and to.exists()]
    assert not set((ROOT / "docs").rglob("*.md")) - reached


def test_every_link_within_the_repository_leads_somewhere() -> None:
    broken = [
        f"{page.name}: {to}#{anchor}"
        for page in pages()
        for to, anchor in links(page)
        if not to.exists() or (anchor and anchor not in anchors(to))
    ]
    assert not broken


def test_every_page_that_code_names_is_there() -> None:
    rooms = ("accounts", "billing", "routing", "routeplex_site", "bench", "templates")
    files = [ROOT / "Makefile", *(path for room in rooms for path in (ROOT / room).rglob("*.[ph][yt]*"))]
    named = {name for path in files if path.is_file() for name in _NAMED.findall(path.read_bytes())}
    assert b"docs/routing.md" in named
    assert not [name for name in named if not (ROOT / name.decode()).exists()]
