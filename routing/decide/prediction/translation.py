"""Translates a question word by word into English, as far as a small dictionary goes.

The embedding, the word features and the weights fitted on them know only English. The embedding is a mean of
word vectors and ignores grammar, so a word-by-word translation serves it nearly as well as a full one.
`translation.tsv`, written by hand, has the words people use in requests; its first line names the languages.
"""

import re
import unicodedata
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import msgspec

TABLE = Path(__file__).with_name("translation.tsv")
FUNCTION_WORDS = 47  # the first rows of the table: articles, pronouns and other function words
READABLE_FROM = 0.3  # share of a foreign script's letters in known words from which a text counts as readable
LONGEST = 3  # words in a phrase
SHORTEST_STEM = 3

_SCRIPTS = {
    "zh": re.compile(r"[\u4e00-\u9fff]"),
    "ja": re.compile(r"[\u3040-\u30ff]"),
    "ar": re.compile(r"[\u0600-\u06ff]"),
    "hi": re.compile(r"[\u0900-\u097f]"),
    "ru": re.compile(r"[\u0400-\u04ff]"),
    "ko": re.compile(r"[\uac00-\ud7a3]"),
    "he": re.compile(r"[\u05d0-\u05ea]"),
    "bn": re.compile(r"[\u0980-\u09ff]"),
}
# The letters that only the second language of a script has, and those that only the first has.
_NEIGHBOURS = {
    "ar": ("fa", re.compile("[پچژگیک]"), re.compile("[يكة]")),
    "ru": ("uk", re.compile("[іїєґІЇЄҐ]"), re.compile("[ыэъёЫЭЪЁ]")),
}
_OWN_LETTERS = {  # in words of one Latin-script language only
    "pl": re.compile("[ąęłńśźż]"),
    "tr": re.compile("[ığş]"),
    "vi": re.compile(r"[ăđơư\u1ea0-\u1ef9]"),
}
_FOREIGN = re.compile(r"[^\W\d_\u0000-\u024f\u1e00-\u1eff\u0370-\u03ff]")  # Greek is mathematics here
_BEYOND_LATIN = re.compile(r"[^\u0000-\u024f]+")
_WORD = re.compile(  # Korean particles join foreign words; vowel signs are not in \w
    r"[\u0900-\u0963\u0970-\u097f]+|[\u0980-\u09e3\u09f0-\u09ff]+|[\u0620-\u065f\u066e-\u06d3]+|[\uac00-\ud7a3]+"
    r"|[^\W\uac00-\ud7a3]+"
)
_PLAIN_WORD = re.compile(r"\w+")  # the same in a text without those scripts
_OTHER_WORDS = re.compile(r"[\u0620-\u09ff\uac00-\ud7a3]")
_LETTERS = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]")
_APOSTROPHE = re.compile(r"(?<=\w)['’\u02bc](?=\w)")  # within Ukrainian words
_SIGNS = str.maketrans("？。，、：！（）；؟،।「」『』ёЁ\u200c", "?.,,:!();?,.''''еЕ ") | {
    zero + digit: str(digit) for zero in (0x660, 0x6F0, 0x966, 0x9E6) for digit in range(10)
}
_PREFIXES = {
    "ar": ("", "ال", "و", "ب", "ل", "لل", "ف", "ك", "وال", "بال"),
    "he": ("", *"הובלמשכ", "וה", "שה", "מה", "וב", "ול", "כש", "לה"),
}
_PARTICLES = re.compile(  # after Korean words
    "(?:인가요|입니다|이다|인가|이나|하고|으로|에서|에게|까지|부터|은|는|이|가|을|를|에|의|로|와|과|도|만|인)$"
)


class Translation(msgspec.Struct, frozen=True):
    """`text`: in English as far as its words are known. `known`: translated share of a foreign script."""

    text: str
    language: str  # "" for English, and for a language that is not in the table
    known: float


class _Language(msgspec.Struct, frozen=True):
    words: Mapping[str, str]
    stems: Mapping[str, str]
    function_words: frozenset[str]
    longest: Mapping[str, int]  # characters of the longest word that begins with a character


def translate(text: str, english: float, words: list[str] | None = None) -> Translation:
    """Translate a text. `english`: the share of its words that are English function words.

    `words`: its words in lower case, where they are known.
    """
    if text.isascii() and english >= 0.2:
        return Translation(text, "", 1.0)
    foreign = letters_of_other_scripts(text)
    if not foreign or foreign < 0.3 * max(1, sum(map(str.isalpha, text))):
        composed = unicodedata.normalize("NFC", text.replace("İ", "i"))
        own = words if words is not None and text.isascii() else _words_of(composed)
        language = _latin(composed, english, own)
        return Translation(_by_words(composed, language)[0] if language else text, language, 1.0)
    language = _by_script(text)
    if not language:
        return Translation(text, "", 0.0)
    plain = _plain(text, language)
    translated, known = _by_signs(plain, language) if language in ("zh", "ja") else _by_words(plain, language)
    return Translation(translated, language, known)


def beyond_latin(text: str) -> str:
    """The characters of a text that are in no block of Latin script: few in most texts.

    An expression that knows every script's letters takes several times as long for each character.
    """
    return "" if text.isascii() else "".join(_BEYOND_LATIN.findall(text))


def letters_of_other_scripts(text: str) -> int:
    """The number of letters that are neither Latin nor Greek."""
    beyond = beyond_latin(text)
    return len(_FOREIGN.findall(beyond)) if beyond else 0


def _plain(text: str, language: str) -> str:
    """The text with ASCII punctuation and one spelling of each letter, as the forms in the table have it."""
    plain = unicodedata.normalize("NFC", text).translate(_SIGNS)
    return _APOSTROPHE.sub("", plain) if language == "uk" else plain


def _words_of(text: str) -> list[str]:
    word = _WORD if _OTHER_WORDS.search(beyond_latin(text)) else _PLAIN_WORD
    return list(map(str.lower, word.findall(text)))


def _latin(text: str, english: float, words: list[str]) -> str:
    """The language of a text in Latin script, by its function words and letters; "" for English."""
    counts = dict.fromkeys(_latin_languages(), 0)
    languages_of = _latin_function_words()
    for word in filter(languages_of.__contains__, words):
        for name in languages_of[word]:
            counts[name] += 1
    if not text.isascii():
        for name, letters in _OWN_LETTERS.items():
            if letters.search(text):
                counts[name] += sum(letters.search(word) is not None for word in words)
    most = max(counts.values())
    share = most / max(1, len(words))
    if share <= english or (most <= 1 and share < 0.2):
        return ""
    level = [name for name in counts if counts[name] == most]
    return max(level, key=lambda name: sum(map(_languages()[name].words.__contains__, words)))


def _by_script(text: str) -> str:
    counts = {name: len(mark.findall(text)) for name, mark in _SCRIPTS.items()}
    if counts["ja"]:
        counts["ja"] += counts["zh"]
    best = max(reversed(counts), key=lambda name: counts[name])
    if not counts[best]:
        return ""
    if best in _NEIGHBOURS:
        neighbour, its_letters, own_letters = _NEIGHBOURS[best]
        return neighbour if len(its_letters.findall(text)) > len(own_letters.findall(text)) else best
    return best


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
        pieces.append(text[at : words[0].start()] if at < words[0].start() or not i else " ")
        if english:
            pieces.append(english)
        elif not foreign or language in _latin_languages():
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
    for prefix in _PREFIXES.get(language, ("",)):
        if words[0].startswith(prefix):
            english = _word(words[0].removeprefix(prefix), lexicon, 1 if language == "ko" else SHORTEST_STEM)
            if english:
                return english, 1
    if language == "ko":
        return lexicon.words.get(_PARTICLES.sub("", words[0]), ""), 1
    return "", 1


def _word(word: str, lexicon: _Language, shortest_stem: int) -> str:
    """The English of a word, whole or by its longest known stem; "" for none."""
    if word in lexicon.words:
        return lexicon.words[word]
    for end in range(len(word), shortest_stem - 1, -1):
        if word[:end] in lexicon.stems:
            return lexicon.stems[word[:end]]
    return ""


def _by_signs(text: str, language: str) -> tuple[str, float]:
    """As `_by_words`, for scripts without spaces between words: the longest known form at each place."""
    words, longest = _languages()[language].words, _languages()[language].longest
    pieces: list[str] = []
    i = known = letters = 0
    while i < len(text):
        most = min(longest.get(text[i], 0), len(text) - i)
        size = next((n for n in range(most, 0, -1) if text[i : i + n] in words), 0)
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
    header, *lines = TABLE.read_text().splitlines()
    names = header.split("\t")[1:]
    words: dict[str, dict[str, str]] = {name: {} for name in names}
    stems: dict[str, dict[str, str]] = {name: {} for name in names}
    function: dict[str, set[str]] = {name: set() for name in names}
    rows = [line.split("\t") for line in lines if not line.startswith("#")]
    for number, (english, *forms) in enumerate(rows):
        for name, cell in zip(names, forms, strict=True):
            for form in filter(None, map(str.strip, _plain(cell.lower(), name).split(","))):
                (stems if form.endswith("*") else words)[name].setdefault(form.removesuffix("*"), english)
                if number < FUNCTION_WORDS and " " not in form and (len(form) > 1 or not form.isascii()):
                    function[name].add(form)
    for name in ("zh", "ja"):
        words[name] |= {stem: english for stem, english in stems[name].items() if stem not in words[name]}
    stems["ko"] |= {
        word: english for word, english in words["ko"].items() if len(word) > 1 and " " not in word
    }
    return {
        name: _Language(words[name], stems[name], frozenset(function[name]), _longest(words[name]))
        for name in names
    }


def _longest(words: Mapping[str, str]) -> dict[str, int]:
    longest: dict[str, int] = {}
    for word in words:
        longest[word[0]] = max(longest.get(word[0], 0), len(word))
    return longest


@cache
def _latin_function_words() -> Mapping[str, tuple[str, ...]]:
    """The languages in Latin script that have a function word, by the word."""
    languages = {name: _languages()[name].function_words for name in _latin_languages()}
    return {
        word: tuple(name for name, words in languages.items() if word in words)
        for word in frozenset().union(*languages.values())
    }


@cache
def _latin_languages() -> tuple[str, ...]:
    neighbours = {neighbour for neighbour, *_ in _NEIGHBOURS.values()}
    return tuple(name for name in _languages() if name not in _SCRIPTS and name not in neighbours)
