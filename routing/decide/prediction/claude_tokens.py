"""Claude's tokenizers as `ctok` reconstructs them, in less memory than it takes itself.

`ctok` keeps the evidence for each piece of its vocabularies, a set of the pieces, and a tree without shared
endings. Here equal subtrees are shared and the tree is the only copy: 16 MB instead of 69. Pieces,
normalisation and tiling are those of `ctok`.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from importlib.resources import files
from importlib.util import find_spec
from itertools import chain
from typing import Any

import msgspec

HAS_CTOK = find_spec("ctok") is not None  # needs Python 3.12, so it is optional
if HAS_CTOK:
    from ctok import constants, engine, main, notation

Node = dict[str | None, Any]  # child nodes by character; the key None ends a piece


def claude_counter() -> Callable[[str, str], int] | None:
    """A function of a text and a version such as "4.5": the tokens of such a message, framing included.

    None if `ctok` is not installed.
    """
    return _count if HAS_CTOK else None


def _count(text: str, version: str) -> int:
    vocabulary = _vocabulary(main._family(version))
    tokens: int = engine.tile(text, vocabulary)[0]
    return vocabulary.message_overhead + tokens


class _Evidence(msgspec.Struct, gc=False):
    """How a piece was found out; nothing of it is needed."""


class _Document(msgspec.Struct):
    """A vocabulary file."""

    meta: dict[str, Any]
    tokens: dict[str, dict[str, _Evidence]]


class _Vocabulary:
    """The attributes that `ctok.engine` reads, as `ctok.main.TokenizerModel` has them."""

    def __init__(self, file: bytes, family_meta: Mapping[str, Any]) -> None:
        document = msgspec.json.decode(file, type=_Document)
        meta = document.meta | dict(family_meta)
        self.message_overhead: int = meta["message_overhead"]
        self.fold_quotes: bool = meta["fold_quotes"]
        self.allcaps_min: int = meta["allcaps_min"]
        self.frame_bow: bool = meta.get("frame_bow", True)
        groups = document.tokens.items()
        pieces = [
            notation.parse_marked(piece)
            for group, each in groups
            if group != "bytes_fallback"
            for piece in each
        ]
        self.unit_pieces = {piece for piece in pieces if len(piece) == 1} - set(constants.MARKER_GLYPHS)
        self.bytes = engine.ByteFloor(document.tokens["bytes_fallback"], self.unit_pieces)
        self._char_cost_cache: dict[str, int] = {}
        reversed_pieces = sorted(piece[::-1] for piece in engine.build_vocab(pieces, document.tokens))
        del document, pieces  # the tree takes their place in memory
        self.trie = self.vocab = _Trie(reversed_pieces)


class _Trie:
    """`ctok.engine.ReverseTrie`: pieces by their characters from the last to the first; also their set."""

    _END = None

    def __init__(self, reversed_pieces: Iterable[str]) -> None:
        """`reversed_pieces` are sorted: a subtree is complete as soon as the next piece leaves it."""
        self.root: Node = {}
        known: dict[tuple[object, ...], Node] = {}
        path: list[tuple[Node, str]] = []
        last = ""
        for piece in reversed_pieces:
            common = 0
            while common < len(last) and common < len(piece) and last[common] == piece[common]:
                common += 1
            _share(path, known, common)
            node = path[-1][0][path[-1][1]] if path else self.root
            for letter in piece[common:]:
                path.append((node, letter))
                node[letter] = node = {}
            node[self._END] = None
            last = piece
        _share(path, known, 0)

    def __contains__(self, piece: str) -> bool:
        node = self.root
        for letter in reversed(piece):
            if letter not in node:
                return False
            node = node[letter]
        return self._END in node


def _share(path: list[tuple[Node, str]], known: dict[tuple[object, ...], Node], depth: int) -> None:
    """Replace the nodes of a path below a depth by equal ones that are known."""
    while len(path) > depth:
        parent, letter = path.pop()
        node = parent[letter]
        key = tuple(chain.from_iterable((each, id(child)) for each, child in node.items()))
        parent[letter] = known.setdefault(key, node)


@cache
def _vocabulary(family: str) -> _Vocabulary:
    facts = main.FAMILIES[family]
    path = files("ctok").joinpath("data", main._pieces_file(family))
    return _Vocabulary(path.read_bytes(), facts.meta)
