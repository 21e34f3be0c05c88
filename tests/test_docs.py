"""The documentation is complete: the README links to every page, links resolve, and settings are listed."""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_NAMED = re.compile(rb"docs/[a-z_-]+\.md")
_OPTION = re.compile(r"\benv\.\w+\(\s*f?\"([A-Za-z_{}]+)\"")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def pages() -> list[Path]:
    return [
        *(ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "CHANGELOG")),
        *sorted((ROOT / "docs").rglob("*.md")),
    ]


def links(page: Path) -> Iterator[tuple[Path, str]]:
    """Links within the repository: the file, and the anchor or nothing."""
    for target in _LINK.findall(page.read_text()):
        if not re.match(r"[a-z]+:", target):
            path, _, anchor = target.partition("#")
            yield ((page.parent / path).resolve() if path else page), anchor


def anchors(page: Path) -> set[str]:
    """Return the anchors GitHub generates from a page's headings."""
    titles = (re.sub(r"[^\w\- ]", "", title.lower()) for title in _HEADING.findall(page.read_text()))
    return {title.strip().replace(" ", "-") for title in titles}


def test_the_readme_leads_to_every_page() -> None:
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        reached.add(page)
        waiting += [to for to, _ in links(page) if to.suffix == ".md" and to not in reached and to.exists()]
    assert not set((ROOT / "docs").rglob("*.md")) - reached


def test_every_link_within_the_repository_resolves() -> None:
    broken = [
        f"{page.name}: {to}#{anchor}"
        for page in pages()
        for to, anchor in links(page)
        if not to.exists() or (anchor and anchor not in anchors(to))
    ]
    assert not broken


def test_every_page_named_in_code_exists() -> None:
    rooms = ("accounts", "billing", "core", "routing", "routeplex_site", "bench", "templates", "tests")
    files = [ROOT / "Makefile", *(path for room in rooms for path in (ROOT / room).rglob("*.[ph][yt]*"))]
    # Installed packages lie below tests/ecosystem once those tests have run.
    ours = [path for path in files if path.is_file() and not {".venv", "node_modules"} & set(path.parts)]
    named = {name for path in ours for name in _NAMED.findall(path.read_bytes())}
    assert b"docs/routing-lab.md" in named
    assert not [name for name in named if not (ROOT / name.decode()).exists()]


def test_the_readme_has_at_most_100_lines() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 100


def test_the_readme_maps_every_top_level_package() -> None:
    """Every folder that holds tracked source is in the README's map."""
    folders = {path.parent.name for path in ROOT.glob("*/__init__.py")} | {"docs", "deploy", "templates"}
    mapped = set(re.findall(r"`([a-z_]+)/`", (ROOT / "README.md").read_text()))
    assert not folders - mapped


def test_pictures_are_small() -> None:
    large = [path.name for path in (ROOT / "docs/images").iterdir() if path.stat().st_size > 300_000]
    assert not large


def test_the_configuration_page_lists_every_option() -> None:
    settings = (ROOT / "routeplex_site/settings.py").read_text()
    prefixes = ("OPENAI", "ANTHROPIC", "GEMINI")
    names = {name for option in _OPTION.findall(settings) for name in _expanded(option, prefixes)}
    assert {"PORT", "DATABASE_URL", "GEMINI_API_KEY"} <= names
    rows = re.findall(r"^\| (`[A-Z].+?) \|", (ROOT / "docs/configuration.md").read_text(), re.MULTILINE)
    listed = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert names == listed


def _expanded(option: str, prefixes: tuple[str, ...]) -> list[str]:
    return [option.replace("{_prefix}", prefix).replace("{prefix}", prefix) for prefix in prefixes]
