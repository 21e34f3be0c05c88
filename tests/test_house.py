"""The house rules a linter cannot see: where providers may be named, and how long the first page may be."""

import ast
from pathlib import Path

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


def test_every_module_says_its_job_in_its_first_line() -> None:
    silent = [
        path.relative_to(ROOT).as_posix()
        for path in product_files()
        if path.read_text().strip() and "/migrations/" not in path.as_posix()
        if not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert not silent
