"""The fitted numbers that ship with the code: static embedding, skill classifier, difficulty, score links.

`python -m bench.fit_decide` writes `artefact/`; `load` reads it once at start-up, so that a decision reads no
files.
"""

import json
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file
from tokenizers import Tokenizer

Array = npt.NDArray[np.float32]
FOLDER = Path(__file__).parent / "artefact"
WEIGHTS, CARD = FOLDER / "decide.safetensors", FOLDER / "card.json"


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
    """Mean of token vectors, at unit length: wordllama's weights without its loader, which goes online."""

    def __init__(self, weights: Array, tokenizer: Tokenizer) -> None:
        self._weights, self._tokenizer = weights, tokenizer

    def embed(self, text: str) -> Array:
        """Return `(256,)` at unit length; zeros for a text without tokens."""
        ids = self._tokenizer.encode_batch_fast([text], add_special_tokens=False)[0].ids  # no offsets: faster
        if not ids:
            return np.zeros(self._weights.shape[1], np.float32)
        mean: Array = self._weights[ids].mean(axis=0)
        unit: Array = mean / (np.sqrt(mean @ mean) + np.float32(1e-9))
        return unit


@cache
def embedding() -> StaticEmbedding:
    """Return the embedding model. Raises FileNotFoundError when the wordllama package lacks its files."""
    spec = find_spec("wordllama")
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError("the wordllama package is not installed")
    folder = Path(spec.submodule_search_locations[0])
    weights = load_file(folder / "weights" / "l2_supercat_256.safetensors")
    tokenizer = Tokenizer.from_file(str(folder / "tokenizers" / "l2_supercat_tokenizer_config.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    matrix = next(iter(weights.values())).astype(np.float32)
    return StaticEmbedding(np.ascontiguousarray(matrix), tokenizer)


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
