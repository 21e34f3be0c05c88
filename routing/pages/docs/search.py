"""Full-text search over the sections of all pages, ranked by BM25, in memory.

Some 300 sections need no database, and the same search works on SQLite and PostgreSQL.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from html import escape

from django.utils.safestring import SafeString, mark_safe

from routing.pages.docs.library import Page, library
from routing.pages.docs.markdown import Section

_K1, _B = 1.4, 0.6  # BM25's usual saturation; sections differ in length for good reasons, so less than usual
_TITLE_WEIGHT = 6  # a word in a heading counts as so many in the text
_SUMMARY_WEIGHT = 3  # a word in the sentence that introduces a page
_GUIDE_FACTOR = 1.25  # readers want the guide before the reference
_PREFIX_FACTOR = 0.6  # of a word that only begins like the last one of the query
_WORD = re.compile(r"[a-z0-9_]+")
_STOP = frozenset(
    _WORD.findall(
        "a an and are as at be by can do does for from how i if in is it me my not of on or our that the this"
        " to use using want was what when where which who why will with you your please tell about explain"
    )
)
# Words that readers use for each other; a group is found by any of its words.
_SYNONYMS = (
    "price cost bill charge pay money expensive",
    "maximum max ceiling cap limit most",
    "library package client sdk",
    "function tool",
    "force pin name named particular specific",
    "cheap inexpensive expensive",
    "delete remove forget erase",
    "begin start first quickstart",
    "rating feedback score",
    "host server install deploy",
)
_SYNONYM_FACTOR = 0.6  # of a word that only means the same as the query's
_EXCERPT = 180  # characters


@dataclass(frozen=True)
class Passage:
    """A section of a page."""

    page: Page
    section: Section

    @property
    def url(self) -> str:
        return self.page.url + (f"#{self.section.anchor}" if self.section.level > 1 else "")

    @property
    def title(self) -> str:
        return self.page.title if self.section.level == 1 else f"{self.page.title}: {self.section.title}"


@dataclass(frozen=True)
class Result:
    """`share`: the part of the query's words, by their weight, that the passage contains; 0 to 1."""

    passage: Passage
    score: float
    share: float
    excerpt: SafeString


class Index:
    """An inverted index of passages, with their samples or without."""

    def __init__(self, passages: Sequence[Passage], *, samples: bool = True) -> None:
        self.passages = tuple(passages)
        self._counts: list[Counter[str]] = []
        self._postings: dict[str, list[int]] = {}
        for number, passage in enumerate(self.passages):
            counts = Counter(words(passage.section.text if samples else passage.section.prose))
            for word in words(passage.title):
                counts[word] += _TITLE_WEIGHT
            if passage.section.level == 1:
                for word in words(passage.page.summary):
                    counts[word] += _SUMMARY_WEIGHT
            self._counts.append(counts)
            for word in counts:
                self._postings.setdefault(word, []).append(number)
        self._lengths = [counts.total() for counts in self._counts]
        self._mean = sum(self._lengths) / max(len(self._lengths), 1)

    def search(self, query: str, limit: int, *, prefix: bool = False) -> list[Result]:
        """The best passages first. `prefix`: the last word may be incomplete, as while typing."""
        terms = list(dict.fromkeys(words(query)))
        if not terms:
            return []
        weights = {term: self._weight(term) for term in terms}
        scores: Counter[int] = Counter()
        matched: Counter[int] = Counter()
        for term in terms:
            variants = dict.fromkeys(_synonyms().get(term, ()), _SYNONYM_FACTOR) | {term: 1.0}
            if prefix and term == terms[-1] and len(term) > 1:
                variants |= {
                    word: _PREFIX_FACTOR for word in self._postings if word.startswith(term) and word != term
                }
            best: dict[int, float] = {}
            for word, factor in variants.items():
                for number in self._postings.get(word, ()):
                    best[number] = max(best.get(number, 0.0), factor * self._gain(word, number))
            for number, gain in best.items():
                scores[number] += gain  # type: ignore[assignment]
                matched[number] += weights[term]  # type: ignore[assignment]
        total = sum(weights.values())
        for number in scores:
            # Passages with all words come first: a rare word alone must not outweigh the others.
            scores[number] *= matched[number] / total  # type: ignore[assignment]
            if self.passages[number].page.is_guide:
                scores[number] *= _GUIDE_FACTOR  # type: ignore[assignment]
        return [
            Result(
                self.passages[number],
                score,
                matched[number] / total,
                excerpt(self.passages[number].section.text, terms),
            )
            for number, score in scores.most_common(limit)
        ]

    def _gain(self, word: str, number: int) -> float:
        count = self._counts[number][word]
        length = self._lengths[number] / self._mean
        return self._weight(word) * count * (_K1 + 1) / (count + _K1 * (1 - _B + _B * length))

    def _weight(self, word: str) -> float:
        """Inverse document frequency; a word that is nowhere weighs the most."""
        having = len(self._postings.get(word, ()))
        return math.log(1 + (len(self.passages) - having + 0.5) / (having + 0.5))


@cache
def index() -> Index:
    return Index([Passage(page, section) for page in library().pages for section in page.document.sections])


@cache
def prose_index() -> Index:
    """Without samples, whose messages are about anything."""
    return Index(index().passages, samples=False)


@cache
def _synonyms() -> dict[str, set[str]]:
    """By stem, the stems that mean about the same."""
    groups: dict[str, set[str]] = {}
    for line in _SYNONYMS:
        stems = {stem(word) for word in line.split()}
        for word in stems:
            groups.setdefault(word, set()).update(stems - {word})
    return groups


def words(text: str) -> list[str]:
    """Lower-case stems without the commonest English words."""
    return [stem(word) for word in _WORD.findall(text.lower()) if word not in _STOP]


def stem(word: str) -> str:
    """Cut the commonest endings: keys and key, streaming and stream, retried and retry are one word."""
    for ending, least in (("ies", 5), ("ied", 5)):
        if word.endswith(ending) and len(word) >= least:
            return word[:-3] + "y"
    for ending, least in (("ing", 6), ("ed", 6), ("es", 6), ("s", 4)):
        if word.endswith(ending) and not word.endswith("ss") and len(word) >= least:
            return word.removesuffix(ending).removesuffix("e")
    return word.removesuffix("e") if len(word) >= 5 else word


def excerpt(text: str, terms: Sequence[str]) -> SafeString:
    """The part of a text with the first match, as HTML with the matches marked."""
    spans = list(_WORD.finditer(text.lower()))
    hits = [match for match in spans if _matches(match[0], terms)]
    start = max(hits[0].start() - 50, 0) if hits else 0
    if start:
        start = text.find(" ", start) + 1
    end = min(start + _EXCERPT, len(text))
    if end < len(text):
        end = max(text.rfind(" ", start, end), start)
    parts, at = [], start
    for hit in hits:
        if start <= hit.start() and hit.end() <= end:
            parts += [escape(text[at : hit.start()]), f"<mark>{escape(text[hit.start() : hit.end()])}</mark>"]
            at = hit.end()
    parts.append(escape(text[at:end]))
    shown = ("…" if start else "") + "".join(parts) + ("…" if end < len(text) else "")
    return mark_safe(shown)  # noqa: S308 - escaped above


def _matches(word: str, terms: Sequence[str]) -> bool:
    return any(stem(word) == term or (len(term) > 2 and word.startswith(term)) for term in terms)
