"""The passages of the documentation that a question is about: full text and embeddings, fused by rank."""

from dataclasses import dataclass
from functools import cache

import numpy as np

from routing.decide.prediction.artefact import Array, embedding
from routing.pages.docs.search import Passage, index, prose_index, words

PASSAGES = 6
_CANDIDATES = 30  # of each ranking
_RANK_CONSTANT = 20  # of reciprocal rank fusion: smaller favours the first ranks
_MOST_OF_A_PAGE = 2
_GUIDE_FACTOR = 1.25  # visitors want the guide before the reference
_EMBEDDED = 1200  # characters of a passage that its vector is made from
# A question is covered when a passage holds that share of its words by weight, or is that similar in meaning.
_LEAST_SHARE, _LEAST_SIMILARITY = 0.5, 0.33


@dataclass(frozen=True)
class Retrieved:
    """Passages, best first. `covered`: whether any is close enough to answer from."""

    passages: tuple[Passage, ...]
    covered: bool


def retrieve(question: str) -> Retrieved:
    by_text = index().search(question, _CANDIDATES)
    similarities = _vectors() @ embedding().embed(question)
    by_meaning = np.argsort(-similarities)[:_CANDIDATES]
    passages = index().passages
    scores: dict[Passage, float] = {}
    rankings = [[result.passage for result in by_text], [passages[number] for number in by_meaning]]
    for ranking in rankings:
        for rank, passage in enumerate(ranking):
            factor = _GUIDE_FACTOR if passage.page.is_guide else 1.0
            scores[passage] = scores.get(passage, 0.0) + factor / (_RANK_CONSTANT + rank)
    chosen: list[Passage] = []
    for passage in sorted(scores, key=lambda candidate: -scores[candidate]):
        if sum(other.page is passage.page for other in chosen) < _MOST_OF_A_PAGE:
            chosen.append(passage)
        if len(chosen) == PASSAGES:
            break
    share = max((result.share for result in prose_index().search(question, PASSAGES)), default=0.0)
    nearest = float(similarities.max(initial=0.0))
    is_covered = bool(words(question)) and (share >= _LEAST_SHARE or nearest >= _LEAST_SIMILARITY)
    return Retrieved(tuple(chosen), is_covered)


@cache
def _vectors() -> Array:
    """(passages, 256)"""
    model = embedding()
    return np.stack([model.embed(_embedded_text(passage)) for passage in index().passages])


def _embedded_text(passage: Passage) -> str:
    """Title and prose: samples are about anything. A page's first passage stands for the page."""
    summary = f" {passage.page.summary}" if passage.section.level == 1 else ""
    return f"{passage.title}.{summary} {passage.section.prose[:_EMBEDDED]}"
