"""Translates a question word by word into English, as far as a small dictionary goes.

The embedding, the word features and the weights fitted on them know only English. The embedding is a mean of
word vectors and ignores grammar, so a word-by-word translation serves it nearly as well as a full one.
`translation.tsv`, written by hand, has the words people use in requests, in seven languages.
"""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import msgspec

TABLE = Path(__file__).with_name("translation.tsv")
FUNCTION_WORDS = 47  # the first rows of the table: articles, pronouns and other function words
READABLE_FROM = 0.3  # share of a foreign script's letters in known words from which a text counts as readable
LONGEST = 3  # words in a phrase
SHORTEST_STEM = 3

_LATIN = ("de", "fr", "es")
_COLUMNS = ("de", "fr", "es", "zh", "ja", "ar", "hi")
_KANA, _HAN = re.compile(r"[\u3040-\u30ff]"), re.compile(r"[\u4e00-\u9fff]")
_ARABIC, _DEVANAGARI = re.compile(r"[\u0600-\u06ff]"), re.compile(r"[\u0900-\u097f]")
_FOREIGN = re.compile(r"[^\W\d_\u0000-\u024f\u1e00-\u1eff\u0370-\u03ff]")  # Greek is mathematics here
_WORD = re.compile(r"[\u0900-\u0963\u0970-\u097f]+|[\u0620-\u065f\u066e-\u06d3]+|\w+")
_LETTERS = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]")
_SIGNS = str.maketrans("？。，、：！（）；؟،।「」『』", "?.,,:!();?,.''''")
_PREFIXES = ("", "ال", "و", "ب", "ل", "لل", "ف", "ك", "وال", "بال")


class Translation(msgspec.Struct, frozen=True):
    """`text`: in English as far as its words are known. `known`: translated share of a foreign script."""

    text: str
    language: str  # "" for English, and for a language that is not in the table
    known: float


class _Language(msgspec.Struct, frozen=True):
    words: Mapping[str, str]
    stems: Mapping[str, str]
    function_words: frozenset[str]


def translate(text: str, english: float) -> Translation:
    """Translate a text. `english`: the share of its words that are English function words."""
    if text.isascii() and english >= 0.2:
        return Translation(text, "", 1.0)
    foreign = 0 if text.isascii() else len(_FOREIGN.findall(text))
    if foreign < 0.3 * max(1, sum(map(str.isalpha, text))):
        language = _latin(text, english)
        return Translation(_by_words(text, language)[0] if language else text, language, 1.0)
    language = _by_script(text)
    if not language:
        return Translation(text, "", 0.0)
    plain = text.translate(_SIGNS)
    translated, known = _by_signs(plain, language) if language in ("zh", "ja") else _by_words(plain, language)
    return Translation(translated, language, known)


def _latin(text: str, english: float) -> str:
    words = [word.lower() for word in _WORD.findall(text)]
    counts = {name: sum(map(_languages()[name].function_words.__contains__, words)) for name in _LATIN}
    best = max(counts, key=lambda name: counts[name])
    share = counts[best] / max(1, len(words))
    return best if share > english and (counts[best] > 1 or share >= 0.2) else ""


def _by_script(text: str) -> str:
    marks = {"ja": _KANA, "zh": _HAN, "ar": _ARABIC, "hi": _DEVANAGARI}
    counts = {name: len(mark.findall(text)) for name, mark in marks.items()}
    if counts["ja"] and counts["zh"] + counts["ja"] >= max(counts["ar"], counts["hi"]):
        return "ja"
    best = max(counts, key=lambda name: counts[name])
    return best if counts[best] else ""


def _by_words(text: str, language: str) -> tuple[str, float]:
    """The text word by word, and the share of letters translated. Unknown words in Latin script stay."""
    lexicon = _languages()[language]
    matches = list(_WORD.finditer(text))
    pieces, at, i, known, letters = [], 0, 0, 0, 0
    while i < len(matches):
        english, taken = _phrase([m.group().lower() for m in matches[i : i + LONGEST]], lexicon, language)
        words = matches[i : i + taken]
        size = sum(len(word.group()) for word in words)
        foreign = not words[0].group().isascii()
        pieces.append(text[at : words[0].start()])
        if english:
            pieces.append(english)
        elif not foreign or language in _LATIN:
            pieces.append(words[0].group())
        if foreign:
            letters += size
            known += size if english else 0
        at, i = words[-1].end(), i + taken
    pieces.append(text[at:])
    return "".join(pieces), known / letters if letters else 1.0


def _phrase(words: list[str], lexicon: _Language, language: str) -> tuple[str, int]:
    """The English of the longest known phrase at the start of `words` ("" for none), and its word count."""
    for size in range(len(words), 0, -1):
        english = lexicon.words.get(" ".join(words[:size]))
        if english:
            return english, size
    for prefix in _PREFIXES if language == "ar" else ("",):
        if words[0].startswith(prefix):
            word = words[0].removeprefix(prefix)
            if word in lexicon.words:
                return lexicon.words[word], 1
            for end in range(len(word), SHORTEST_STEM - 1, -1):
                if word[:end] in lexicon.stems:
                    return lexicon.stems[word[:end]], 1
    return "", 1


def _by_signs(text: str, language: str) -> tuple[str, float]:
    """As `_by_words`, for scripts without spaces between words: the longest known form at each place."""
    words = _languages()[language].words
    longest = max(map(len, words))
    pieces: list[str] = []
    i = known = letters = 0
    while i < len(text):
        size = next((n for n in range(min(longest, len(text) - i), 0, -1) if text[i : i + n] in words), 0)
        if size:
            pieces.append(f" {words[text[i : i + size]]} ")
            known += size
            letters += size
        elif _LETTERS.match(text[i]):
            letters += 1
        else:
            pieces.append(text[i])
        i += max(1, size)
    return re.sub(r" +", " ", "".join(pieces)).strip(), known / letters if letters else 1.0


@cache
def _languages() -> dict[str, _Language]:
    words: dict[str, dict[str, str]] = {name: {} for name in _COLUMNS}
    stems: dict[str, dict[str, str]] = {name: {} for name in _COLUMNS}
    function: dict[str, set[str]] = {name: set() for name in _COLUMNS}
    rows = [line.split("\t") for line in TABLE.read_text().splitlines() if not line.startswith("#")]
    for number, (english, *forms) in enumerate(rows):
        for name, cell in zip(_COLUMNS, forms, strict=True):
            for form in filter(None, map(str.strip, cell.lower().split(","))):
                (stems if form.endswith("*") else words)[name].setdefault(form.removesuffix("*"), english)
                if number < FUNCTION_WORDS and " " not in form:
                    function[name].add(form)
    for name in ("zh", "ja"):
        words[name] |= {stem: english for stem, english in stems[name].items() if stem not in words[name]}
    return {name: _Language(words[name], stems[name], frozenset(function[name])) for name in _COLUMNS}
