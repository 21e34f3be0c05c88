"""Find names and phrases the house rules ban: `python -m tests.house_words routing/decide` lists a room's.

Names: modules, functions, classes, arguments, locals and attributes that a file defines. Phrases: docstrings,
comments and, in the product, strings of several words. Migrations are history and are not read.
"""

import argparse
import ast
import io
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("accounts", "billing", "core", "routing", "routeplex_site", "bench", "tests")

# Banned wherever they stand in a name, as a word between underscores or capitals.
WORDS = frozenset(
    (
        *("told", "said", "asked", "bad", "purse", "dearest", "whoever", "nobody"),
        *("seam", "gloss", "board", "forgetting", "resealing"),
    )
)
# Banned as a whole name; fine as part of a longer one, such as first_seen_at.
WHOLE_NAMES = frozenset(
    (
        *("one", "made", "seen", "found", "given", "kept", "look", "opening", "making"),
        *("reading", "standing", "raising", "view"),
    )
)
TEST_NAMES_MAY_SAY = frozenset({"asked", "bad"})
PHRASES = re.compile(
    r"\b(is none|"
    r"(?i:as good as|all the same|by itself|comes to|for who|must bear|dearest|whoever|nobody|told))\b"
)
RIDDLES = re.compile(r"(What|Who|Whose|Whom|Whatever|Whichever|Whether)\b")

# Names that a library, a protocol or published data fixes: (name, reason).
FIXED_NAMES: dict[str, str] = {
    "BadRequest": "HTTP's name of status 400, and the error code bad_request on the wire",
    "BAD_REQUEST": "the kind of failure stored and exported as bad_request",
    "_BAD_REQUEST": "HTTP's name of status 400 in the simulator",
}

_EXEMPT_PARTS = ("/migrations/", "/node_modules/", "/.venv/")
_NAME_PARTS = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+")


@dataclass(frozen=True)
class Offender:
    path: str
    line: int
    text: str

    @property
    def folder(self) -> str:
        return self.path.partition("/")[0]

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.text}"


def offenders(where: str = "") -> list[Offender]:
    """Return every banned name and phrase in the files whose path begins with `where`."""
    listing = []
    for folder in FOLDERS:
        for file in sorted((ROOT / folder).rglob("*.py")):
            path = file.relative_to(ROOT).as_posix()
            if path.startswith(where) and not skipped(path):
                listing += file_offenders(path, file.read_text())
    return listing


def skipped(path: str) -> bool:
    """Return whether a file is exempt: migrations, installed packages, and this list of words."""
    return path == "tests/house_words.py" or any(part in path for part in _EXEMPT_PARTS)


def file_offenders(path: str, source: str) -> list[Offender]:
    """Return the banned names and phrases of one file's source text."""
    tree = ast.parse(source)
    listing = [Offender(path, 1, f"module {Path(path).stem}")] if banned_name(Path(path).stem) else []
    listing += [Offender(path, line, f"name {name}") for line, name in names(tree) if banned_name(name)]
    listing += [
        Offender(path, line, f"phrase {phrase!r}")
        for line, text in [*docstrings(tree), *comments(source), *messages(path, tree)]
        for phrase in PHRASES.findall(text)
    ]
    listing += [
        Offender(path, line, f"docstring begins with {match[0]}")
        for line, text in docstrings(tree)
        if (match := RIDDLES.match(text))
    ]
    return sorted(listing, key=lambda offender: offender.line)


def banned_name(name: str) -> bool:
    """Return whether a name is banned, or has a banned word in it."""
    if name in FIXED_NAMES:
        return False
    bare = name.strip("_").lower()
    if bare in WHOLE_NAMES:
        return True
    words = {part.lower() for part in _NAME_PARTS.findall(name)}
    if name.startswith("test_"):
        words -= TEST_NAMES_MAY_SAY
    return bool(words & WORDS)


def names(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield the line and the name of each function, class, argument, variable and assigned attribute."""
    django_views = _django_views(tree)
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield node.lineno, name
            case ast.arg(arg=name) if node not in django_views:
                yield node.lineno, name
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield node.lineno, name
            case ast.alias(asname=str(name)) | ast.ExceptHandler(name=str(name)):
                yield node.lineno, name
            case (
                ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)) | ast.MatchMapping(rest=str(name))
            ):
                yield node.lineno, name


def _django_views(tree: ast.Module) -> set[ast.AST]:
    """Return the arguments named `view` beside a `request`: Django and REST framework fix that name."""
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return {
        argument
        for function in functions
        for argument in function.args.args
        if argument.arg == "view" and "request" in {other.arg for other in function.args.args}
    }


def docstrings(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield the line and the text of each docstring."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text:
                yield node.body[0].lineno, " ".join(text.split())


def comments(source: str) -> Iterator[tuple[int, str]]:
    """Yield the line and the text of each comment."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def messages(path: str, tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield the product's strings of several words: errors, log lines, and what pages say."""
    if path.startswith(("tests/", "bench/", "routing/simulator/")):
        return
    documented = {line for line, _ in docstrings(tree)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
            continue
        if node.value.count(" ") > 2 and node.lineno not in documented:
            yield node.lineno, node.value


# A citation of design notes that a clone of this repository does not contain.
CITATIONS = re.compile(r"\bspec/[a-z]|\bproviders\.md|\.\./shared/|\bshared/(?:spec|data|design)/")
_READ = (".py", ".md", ".html", ".json", ".toml", ".yml", ".txt", ".js", ".css")


def stray_citations(where: str = "") -> list[Offender]:
    """Return every place that cites a page outside this repository, below `where`."""
    listing = []
    for top in (
        *FOLDERS,
        "docs",
        "templates",
        "deploy",
        "sdks",
        ".ci",
        "Makefile",
        "README.md",
        "CHANGELOG.md",
    ):
        start = ROOT / top
        for file in sorted(start.rglob("*")) if start.is_dir() else [start]:
            path = file.relative_to(ROOT).as_posix()
            readable = file.suffix in _READ or file.name in ("Makefile", "run")
            if not file.is_file() or not readable or not path.startswith(where) or skipped(path):
                continue
            for number, line in enumerate(file.read_text().splitlines(), 1):
                listing += [Offender(path, number, f"cites {match}") for match in CITATIONS.findall(line)]
    return listing


def main() -> None:
    """Print the offenders of one room, or of all."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("where", nargs="?", default="", help="how paths begin, e.g. routing/decide")
    where = parser.parse_args().where
    listing = [*offenders(where), *stray_citations(where)]
    for offender in listing:
        print(offender)
    print(f"{len(listing)} banned names, phrases and citations")


if __name__ == "__main__":
    main()
