"""The house rules that no linter checks: names, plain English, folder sizes, where providers are named."""

import ast
from collections import Counter
from pathlib import Path

import pytest

from tests import house_words

OWN_DIALECT = (
    "routing/providers/openai/",
    "routing/providers/anthropic/",
    "routing/providers/gemini/",
    "routing/simulator/",
)
ROOT = Path(__file__).resolve().parent.parent
PROVIDERS = {"anthropic", "google", "gemini"}  # "openai" is also the name of a door and of its wire format
ALLOWED = ("routing/providers/", "routing/simulator/", "routing/catalog/", "routeplex_site/settings.py")


def product_files() -> list[Path]:
    rooms = ("accounts", "billing", "routing", "routeplex_site")
    return [path for room in rooms for path in (ROOT / room).rglob("*.py")]


def test_providers_are_named_only_in_adapters_simulator_catalog_and_settings() -> None:
    offenders = []
    for path in product_files():
        name = path.relative_to(ROOT).as_posix()
        if name.startswith(ALLOWED) or "/migrations/" in name:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and node.value in PROVIDERS:
                offenders.append(f"{name}:{node.lineno} {node.value!r}")
    assert not offenders


def test_the_page_to_read_first_is_short() -> None:
    assert len((ROOT / "routing/pipeline.py").read_text().splitlines()) <= 200


# Most modules in a folder, without __init__ and apps. Larger folders need a folder level.
FOLDER_LIMIT = 16
LARGER_FOLDERS = {
    "accounts": 17,  # one module each for authentication, keys, members, audit and so on; one level suffices
    "routing/doors/shared": 20,  # one module for each thing that four doors share
}


def test_no_folder_has_too_many_modules() -> None:
    modules = Counter(
        path.parent.relative_to(ROOT).as_posix()
        for path in [*product_files(), *(ROOT / "core").rglob("*.py"), *(ROOT / "bench").rglob("*.py")]
        if path.name not in ("__init__.py", "apps.py") and "/migrations/" not in path.as_posix()
    )
    assert not {
        folder: count for folder, count in modules.items() if count > LARGER_FOLDERS.get(folder, FOLDER_LIMIT)
    }


def test_nothing_branches_on_a_dialect_outside_the_providers() -> None:
    """A provider is one adapter value; a branch elsewhere would be a second list of providers."""
    offenders = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in product_files()
        if not path.relative_to(ROOT).as_posix().startswith(OWN_DIALECT)
        for node in ast.walk(ast.parse(path.read_text()))
        if branches_on_dialect(node)
    ]
    assert not offenders


@pytest.mark.parametrize("source", ["match facts.dialect:\n case 'x': ...", "if dialect == 'gemini': ..."])
def test_a_branch_on_a_dialect_is_found(source: str) -> None:
    assert any(branches_on_dialect(node) for node in ast.walk(ast.parse(source)))


def branches_on_dialect(node: ast.AST) -> bool:
    """Return whether a node matches on a dialect, or compares one with a constant."""
    match node:
        case ast.Match(subject=subject):
            return "dialect" in ast.unparse(subject).lower()
        case ast.Compare(left=left, comparators=[*others]):
            sides = [ast.unparse(side) for side in (left, *others)]
            constant = any(isinstance(side, ast.Constant) for side in (left, *others))
            return constant and any(side.split(".")[-1] == "dialect" for side in sides)
    return False


def test_every_module_says_its_job_in_its_first_line() -> None:
    silent = [
        path.relative_to(ROOT).as_posix()
        for path in product_files()
        if path.read_text().strip() and "/migrations/" not in path.as_posix()
        if not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert not silent


def test_names_docstrings_and_comments_are_plain_english() -> None:
    """`python -m tests.house_words routing/decide` prints what is wrong in one room."""
    assert not [str(offender) for offender in house_words.offenders()]


def test_no_file_cites_a_page_outside_the_repository() -> None:
    assert not house_words.stray_citations()


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ("def purse(): ...", 1),
        ("def hold(asked, *, told_at): ...", 2),
        ("class BadFields: ...", 1),
        ("for one in rows: ...", 1),
        ("self._said = 1", 1),
        ('def read():\n    """What was read."""', 1),
        ("x = 1  # a schema that is none", 1),
        ("first_seen_at = one_row = 1", 0),
        ("def view(request): ...", 1),
    ],
)
def test_a_banned_name_or_phrase_is_found(source: str, count: int) -> None:
    assert len(house_words.file_offenders("routing/example.py", source)) == count
