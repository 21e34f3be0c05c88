"""The fitted numbers that ship with the code: static embedding, skill classifier, difficulty, score links.

`requests.safetensors` beside them is read by `request_model.py`.

`python -m bench.fit_decide` writes `artefact/`; `load` reads it once at start-up, so that a decision reads no
files.
"""

import json
import math
import mmap
from array import array
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import msgspec
import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file
from tokenizers import Tokenizer

Array = npt.NDArray[np.float32]
FOLDER = Path(__file__).parent / "artefact"
WEIGHTS, CARD = FOLDER / "decide.safetensors", FOLDER / "card.json"


MOST_KNOWN_WORDS = 20_000  # remembered with their tokens: 4 MB at most
LONGEST_KNOWN_WORD = 40  # characters
_SPACE_MARK = "\u2581"  # stands for a space in tokens


class Link(msgspec.Struct, frozen=True):
    """A published metric as a line over general ability: `x = intercept + slope · θ`, residual sd `noise`.

    θ is in hundreds of Arena overall Elo points above the reference; x is Elo/100 or the logit of a share.
    """

    intercept: float
    slope: float
    noise: float
    models: int


class Fitted(msgspec.Struct, frozen=True):
    """Weights over the features of `features.vector`: `(n_features,)` or `(n_features, n_skills)`."""

    version: str
    skill_weights: Array
    skill_bias: Array
    difficulty_weights: Array
    difficulty_bias: float
    feature_mean: Array
    feature_scale: Array
    leverage: Array  # (n_features, n_features): xᵀ·leverage·x is the distance of x from the fitted prompts
    directions: Array  # (K, n_features): the directions in which models differ, see item_response
    centres: Array  # (n_skills, K): the mean of a skill's prompts along them
    place: Array  # (n_skills, K): maps an arm's skill logits to its place along them
    heard: Array  # (n_skills,) 1 where the directions were fitted on prompts of the skill, else 0
    links: dict[str, Link]

    def scale(self, vector: Array) -> Array:
        """Return the features standardised, as the weights expect them."""
        scaled: Array = (vector - self.feature_mean) / self.feature_scale
        return scaled


class StaticEmbedding:
    """Mean of token vectors, at unit length: wordllama's weights without its loader, which goes online.

    `halves`: `(n_tokens, 256)` in half precision, mapped from a file. A row is widened to single precision
    when its token is first used, so only tokens that occur take memory; all of them would take 33 MB.
    """

    def __init__(self, halves: npt.NDArray[np.float16], tokenizer: Tokenizer) -> None:
        self._halves, self._tokenizer = halves, tokenizer
        self._weights = _sparse(halves.shape)
        self._is_wide: npt.NDArray[np.bool_] = np.zeros(len(halves), np.bool_)
        self._known: dict[str, bytes] = {}
        tokens = map(tokenizer.id_to_token, range(tokenizer.get_vocab_size()))
        self._begins_word = bytes((token or "").startswith(_SPACE_MARK) for token in tokens)
        # A space at the end is a token of its own.
        self._last_space = np.array(self._encoded("a ")[len(self._encoded("a")) :], np.int32).tobytes()

    def embed(self, text: str) -> Array:
        """Return `(256,)` at unit length; zeros for a text without tokens."""
        ids = self.ids(text)
        if not len(ids):
            return np.zeros(self._weights.shape[1], np.float32)
        if not np.logical_and.reduce(self._is_wide.take(ids)):
            self._weights[ids] = self._halves[ids]
            self._is_wide[ids] = True
        mean: Array = np.add.reduce(self._weights.take(ids, axis=0)) / np.float32(len(ids))
        unit: Array = mean / (np.sqrt(mean @ mean) + np.float32(1e-9))
        return unit

    def ids(self, text: str) -> npt.NDArray[np.int32]:
        """The text's tokens.

        No token reaches over a space into the next word, so the tokens of words seen before are known. The
        tokeniser takes longer than the rest of a decision.
        """
        # "<s>" is a token of its own, and runs of spaces are tokens too.
        if "  " in text or _SPACE_MARK in text or "<" in text or text[:1] in ("", " "):
            return np.array(self._encoded(text), np.int32)
        words = text.split(" ")
        end = b"" if words[-1] else self._last_space
        if end:
            words.pop()
        tokens = list(map(self._known.get, words))
        unknown = [place for place, known in enumerate(tokens) if known is None]
        if unknown:
            learnt = self._learn([words[place] for place in unknown])
            for place in unknown:
                tokens[place] = learnt[words[place]]
        return np.frombuffer(b"".join(cast(list[bytes], tokens)) + end, np.int32)

    def _learn(self, words: list[str]) -> dict[str, bytes]:
        """The tokens of each word; they are remembered."""
        # Most requests have a word or two that are new, such as a number: too few for numpy to be fast.
        words = list(dict.fromkeys(words))
        ids = self._encoded(" ".join(words))
        begins = [place for place, token in enumerate(ids) if self._begins_word[token]]
        ends = [*begins[1:], len(ids)]
        packed = array("i", ids)
        learnt = {
            word: packed[begin:end].tobytes() for word, begin, end in zip(words, begins, ends, strict=True)
        }
        if len(self._known) > MOST_KNOWN_WORDS:
            self._known.clear()
        self._known.update((word, known) for word, known in learnt.items() if len(word) <= LONGEST_KNOWN_WORD)
        return learnt

    def _encoded(self, text: str) -> list[int]:
        # Without offsets it is faster.
        return self._tokenizer.encode_batch_fast([text], add_special_tokens=False)[0].ids


@cache
def embedding() -> StaticEmbedding:
    """Return the embedding model. Raises FileNotFoundError when the wordllama package lacks its files."""
    spec = find_spec("wordllama")
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError("the wordllama package is not installed")
    folder = Path(spec.submodule_search_locations[0])
    tokenizer = Tokenizer.from_file(str(folder / "tokenizers" / "l2_supercat_tokenizer_config.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    halves = _mapped(folder / "weights" / "l2_supercat_256.safetensors")
    return StaticEmbedding(halves, tokenizer)


def _sparse(shape: tuple[int, ...]) -> Array:
    """An array whose pages take memory when they are written. numpy's own would take 2 MB for each row."""
    pages = mmap.mmap(-1, math.prod(shape) * np.dtype(np.float32).itemsize)
    if hasattr(mmap, "MADV_NOHUGEPAGE"):
        pages.madvise(mmap.MADV_NOHUGEPAGE)
    return np.frombuffer(pages, np.float32).reshape(shape)


def _mapped(file: Path) -> npt.NDArray[np.float16]:
    """The only matrix of a safetensors file: the length of a JSON header, the header, the numbers."""
    with file.open("rb") as opened:
        header_bytes = int.from_bytes(opened.read(8), "little")
        header = json.loads(opened.read(header_bytes))
    (facts,) = (value for name, value in header.items() if name != "__metadata__")
    if facts["dtype"] != "F16":
        raise ValueError(f"{file} has numbers of type {facts['dtype']}, not F16")
    offset = 8 + header_bytes + facts["data_offsets"][0]
    return np.memmap(file, np.float16, "r", offset, tuple(facts["shape"]))


@cache
def fitted() -> Fitted:
    """Return the fitted weights. Raises FileNotFoundError before the first `python -m bench.fit_decide`."""
    arrays = load_file(WEIGHTS)
    card: dict[str, Any] = json.loads(CARD.read_text())
    return Fitted(
        version=card["version"],
        skill_weights=arrays["skill_weights"],
        skill_bias=arrays["skill_bias"],
        difficulty_weights=arrays["difficulty_weights"],
        difficulty_bias=float(arrays["difficulty_bias"][0]),
        feature_mean=arrays["feature_mean"],
        feature_scale=arrays["feature_scale"],
        leverage=arrays["leverage"],
        directions=arrays["directions"],
        centres=arrays["centres"],
        place=arrays["place"],
        heard=arrays["heard"],
        links={name: msgspec.convert(link, Link) for name, link in card["links"].items()},
    )


def load() -> None:
    """Read all files at start-up, so that the first request does not wait for them."""
    embedding()
    fitted()
