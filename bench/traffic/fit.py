"""Fits the request model on rated requests, and on benchmark questions to tell those apart.

`make fit-requests PROMPTS=DIR DATA=DIR` writes what the product ships. Deterministic: the same inputs give
the same bytes. Ridge regression for level and log answer length, logistic regression for skill and for
"everyday traffic or benchmark question", all over the same hashed features. scikit-learn fits; the product
applies plain arrays.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
from safetensors.numpy import save_file
from scipy.sparse import csr_matrix, hstack, vstack
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import normalize

from bench.fit_decide import SHIPPABLE
from bench.traffic.prompts import RatedRequest, added_requests, rated_requests
from routing.decide.prediction.request_features import (
    CHAR_BITS,
    MEASURES,
    WORD_BITS,
    Ids,
    RequestFeatures,
    features,
    request_text,
)
from routing.decide.prediction.request_model import CARD, WEIGHTS, RequestModel, standardised
from routing.decide.prediction.skills import TEXT_SKILLS
from routing.language.chat import ChatRequest, Message, Role, Text

Matrix = npt.NDArray[np.float64]

VERSION = "2026-11-28.1"
RIDGE = 0.5  # penalty; 0.5 to 2 give the same Spearman within .015 with a writer left out
INVERSE_PENALTY = 20.0  # of the logistic regressions
# Weight of the measures beside the unit-length blocks of words and characters. Skills show in words alone:
# with more weight on lengths they are confused. Answer length depends on lengths most.
LEVEL_MEASURE_SHARE, LENGTH_MEASURE_SHARE = 0.35, 0.4
SKILL_MEASURE_SHARE = 0.05
# Logits added to "everyday": a request mistaken for a benchmark question is judged worse than the reverse.
# Without the shift 81, 89 and 81 % of the weight is on everyday with a writer left out.
EVERYDAY_SHIFT = 3.0
WORD_FROM, CHAR_FROM = 2, 3  # requests that must have a bucket for it to count


BENCHMARK_QUESTIONS = 1500  # evenly from all tables: the request model learns what is not everyday traffic


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=Path, required=True, help="folder with traffic.jsonl")
    parser.add_argument("--data", type=Path, required=True, help="folder with the outcome tables")
    arguments = parser.parse_args()
    rated = [*rated_requests(arguments.prompts), *added_requests()]
    questions = benchmark_questions(arguments.data)
    vectors = features_of([request.request for request in rated])
    model = fit_request_model(rated, vectors, features_of(questions_as_requests(questions)))
    save_file(
        {name: np.ascontiguousarray(array) for name, array in msgspec.structs.asdict(model).items()}, WEIGHTS
    )
    CARD.write_text(json.dumps(_card(rated, len(questions)), indent=1) + "\n")


def _card(rated: Sequence[RatedRequest], questions: int) -> dict[str, object]:
    return {
        "version": VERSION,
        "what": "level, answer length, skill and likeness to everyday traffic of a request",
        "made_by": "make fit-requests PROMPTS=DIR DATA=DIR",
        "data": {"rated_requests": len(rated), "benchmark_questions": questions, "tables": list(SHIPPABLE)},
        "licences": "rated requests: CC0; tables: see card.json",
        "figures": "docs/routing-lab.md, from make bench-traffic",
        "limits": "levels are readers' judgements, not outcomes; six writers; most requests are English",
        "skills": [str(skill) for skill in TEXT_SKILLS],
        "measures": list(MEASURES),
    }


def benchmark_questions(folder: Path) -> list[str]:
    """As many from each table, evenly spread over it."""
    texts: list[str] = []
    for name in SHIPPABLE:
        rows = pq.read_table(folder / f"{name}.prompts.parquet").to_pylist()
        step = max(1, len(rows) * len(SHIPPABLE) // BENCHMARK_QUESTIONS)
        texts += [row["query"] or row["prompt"] for row in rows[::step]]
    return texts


def questions_as_requests(texts: Sequence[str]) -> list[ChatRequest]:
    return [ChatRequest(messages=(Message(Role.USER, (Text(text),)),)) for text in texts]


def features_of(requests: Sequence[ChatRequest]) -> list[RequestFeatures]:
    return [features(request_text(request)) for request in requests]


def fit_request_model(
    rated: Sequence[RatedRequest], vectors: Sequence[RequestFeatures], benchmark: Sequence[RequestFeatures]
) -> RequestModel:
    """`vectors`: features of `rated`. `benchmark`: those of examination questions, which are not everyday."""
    words, word_idf = _block([(f.words, f.word_weights) for f in vectors], WORD_BITS, WORD_FROM)
    chars, char_idf = _block([(f.chars, f.char_weights) for f in vectors], CHAR_BITS, CHAR_FROM)
    raw = np.stack([f.measures for f in vectors]).astype(np.float64)
    mean, scale = raw.mean(axis=0), np.maximum(raw.std(axis=0), 1e-3)
    measures = standardised(raw, mean, scale)
    level = np.array([request.level for request in rated])
    length = np.log([max(request.answer_tokens, 1.0) for request in rated])
    skills = np.array([TEXT_SKILLS.index(request.skill) for request in rated])

    columns = []
    for target, share in ((level, LEVEL_MEASURE_SHARE), (length, LENGTH_MEASURE_SHARE)):
        x = hstack([words, chars, csr_matrix(measures * share)]).tocsr()
        head = Ridge(alpha=RIDGE).fit(x, target)
        columns.append((head.coef_, float(head.intercept_), share))
    x = hstack([words, chars, csr_matrix(measures * LEVEL_MEASURE_SHARE)]).tocsr()
    columns.append(_everyday(x, word_idf, char_idf, mean, scale, benchmark))

    x = hstack([words, chars, csr_matrix(measures * SKILL_MEASURE_SHARE)]).tocsr()
    classifier = LogisticRegression(C=INVERSE_PENALTY, max_iter=400).fit(x, skills)
    known = {int(label): row for row, label in enumerate(classifier.classes_)}
    for skill in range(len(TEXT_SKILLS)):
        if skill in known:
            row = known[skill]
            columns.append((classifier.coef_[row], float(classifier.intercept_[row]), SKILL_MEASURE_SHARE))
        else:  # no rated request needs it
            columns.append((np.zeros(x.shape[1]), -9.0, SKILL_MEASURE_SHARE))
    return _packed(columns, word_idf, char_idf, mean, scale)


def _everyday(
    x: csr_matrix,
    word_idf: Matrix,
    char_idf: Matrix,
    mean: Matrix,
    scale: Matrix,
    benchmark: Sequence[RequestFeatures],
) -> tuple[Matrix, float, float]:
    words = _applied([(f.words, f.word_weights) for f in benchmark], word_idf)
    chars = _applied([(f.chars, f.char_weights) for f in benchmark], char_idf)
    measures = standardised(np.stack([f.measures for f in benchmark]), mean, scale)
    other = hstack([words, chars, csr_matrix(measures * LEVEL_MEASURE_SHARE)]).tocsr()
    both = vstack([x, other]).tocsr()
    is_everyday = np.r_[np.ones(x.shape[0]), np.zeros(other.shape[0])]
    head = LogisticRegression(C=INVERSE_PENALTY, class_weight="balanced", max_iter=400).fit(both, is_everyday)
    return head.coef_[0], float(head.intercept_[0]) + EVERYDAY_SHIFT, LEVEL_MEASURE_SHARE


def _matrix(rows: Sequence[tuple[Ids, npt.NDArray[np.float32]]], bits: int) -> csr_matrix:
    starts = np.cumsum([0, *(len(ids) for ids, _ in rows)])
    ids = np.concatenate([ids for ids, _ in rows])
    weights = np.concatenate([weights for _, weights in rows]).astype(np.float64)
    return csr_matrix((weights, ids, starts), shape=(len(rows), 1 << bits))


def _block(
    rows: Sequence[tuple[Ids, npt.NDArray[np.float32]]], bits: int, needed: int
) -> tuple[csr_matrix, Matrix]:
    """Unit-length rows weighted by inverse document frequency, and that frequency by bucket."""
    counts = _matrix(rows, bits)
    frequency = np.bincount(counts.indices, minlength=1 << bits)
    idf = np.where(frequency >= needed, np.log((1 + len(rows)) / (1 + frequency)) + 1, 0.0)
    return _weighted(counts, idf), idf


def _applied(rows: Sequence[tuple[Ids, npt.NDArray[np.float32]]], idf: Matrix) -> csr_matrix:
    return _weighted(_matrix(rows, int(np.log2(len(idf)))), idf)


def _weighted(counts: csr_matrix, idf: Matrix) -> csr_matrix:
    return normalize(counts.multiply(idf[None, :]).tocsr())


def _packed(
    columns: Sequence[tuple[Matrix, float, float]],
    word_idf: Matrix,
    char_idf: Matrix,
    mean: Matrix,
    scale: Matrix,
) -> RequestModel:
    """The heads as the product keeps them: bucket weights in eight bits."""
    weights = np.stack([column for column, _, _ in columns], axis=1)
    shares = np.array([share for _, _, share in columns])
    n_words, n_chars = 1 << WORD_BITS, 1 << CHAR_BITS
    parts = weights[:n_words], weights[n_words : n_words + n_chars], weights[n_words + n_chars :]
    scales = np.stack([np.maximum(np.abs(part).max(axis=0), 1e-9) / 127 for part in parts[:2]])
    return RequestModel(
        word_idf=word_idf.astype(np.float32),
        char_idf=char_idf.astype(np.float32),
        word_weights=np.round(parts[0] / scales[0]).astype(np.int8),
        char_weights=np.round(parts[1] / scales[1]).astype(np.int8),
        scales=scales.astype(np.float32),
        measure_weights=(parts[2] * shares).astype(np.float32),
        measure_mean=mean.astype(np.float32),
        measure_scale=scale.astype(np.float32),
        bias=np.array([bias for _, bias, _ in columns], np.float32),
    )


if __name__ == "__main__":
    main()
