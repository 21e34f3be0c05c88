"""Adds to a prompt the instructions that prompts of its kind usually lack, by rules and without a model.

Words in the prompt give the kind of task; one or two sentences are added for it. A long prompt that is
already specific stays as it is.
"""

import re
from typing import NamedTuple

import msgspec

from routing.language.chat import ChatRequest, Role, Text

SPECIFIC_WORDS = 30  # from here on a prompt with several signals of specificity is left alone
SPECIFIC_SIGNALS = 2


class Enhanced(msgspec.Struct, frozen=True):
    """`changed` False: `enhanced_prompt` is the original. `detected_language` is a programming language."""

    enhanced_prompt: str
    changed: bool
    query_type: str
    detected_language: str | None
    original_prompt: str


class Enhancement(msgspec.Struct, frozen=True):
    """The receipt a caller gets for `enhance_prompt`. `applied` False: nothing was changed."""

    applied: bool
    original_prompt: str
    enhanced_prompt: str
    query_type: str


class _Kind(NamedTuple):
    name: str
    words: re.Pattern[str]
    addition: str  # empty: nothing is added


def _kind(name: str, words: str, addition: str) -> _Kind:
    return _Kind(name, re.compile(rf"\b(?:{words})", re.IGNORECASE), addition)


# The first kind whose words occur is taken: narrow ones stand before wide ones.
_KINDS = (
    _kind(
        "debugging",
        r"debug|fix (?:my|this|the)|bug\b|stack ?trace|traceback|exception|crash(?:es|ing)?\b"
        r"|(?:does(?:n't| not)|is(?:n't| not)) work|error (?:in|with|when)",
        "Find the cause first and explain it, then show the corrected code. If something needed is missing "
        "(the code, the error message, what was expected), say exactly what to send.",
    ),
    _kind(
        "refactoring",
        r"refactor|clean up (?:my|this|the)|restructure|simplify (?:my|this|the) code",
        "Keep the behaviour the same, change it in small steps, and say why each step is better.",
    ),
    _kind(
        "code_review",
        r"review (?:my|this|the) (?:code|function|pull|pr|change|diff)|code review",
        "Name problems in order of weight, with the line and a concrete fix for each: correctness first, "
        "then security, performance and readability.",
    ),
    _kind(
        "testing",
        r"unit tests?|write tests?|test cases?|property tests?",
        "Cover the usual case, the edges and the errors, and give each test a name that says what it shows.",
    ),
    _kind(
        "translation",
        r"translate|translation|in (?:german|french|spanish|italian|japanese|chinese|arabic|hindi)\b",
        "Keep the meaning, tone and formatting; leave names and code as they are.",
    ),
    _kind(
        "summarization",
        r"summari[sz]e|summary|tl;?dr|key points|condense",
        "Start with the main point in one sentence, then the most important details, without adding anything "
        "that is not in the text.",
    ),
    _kind(
        "extraction",
        r"extract|list all|find all|pull out|parse (?:this|the)|classify|categori[sz]e",
        "Answer with the items alone, in a consistent structure, and say when something is not there.",
    ),
    _kind(
        "comparison",
        r"compare|comparison|versus|vs\.?\s|difference between|better than|pros and cons|which is better",
        "Compare them on the points that matter for a decision in a table, then say when to choose which.",
    ),
    _kind(
        "code",
        r"code|function|script|program(?:ming)?\b|implement|algorithm|class\b|api\b|regex|sql\b|query\b|"
        r"sort (?:a|an|the)|loop|parse|endpoint|component|html|css|compile",
        "Give complete, working code with the usual conventions, handle edge cases, and explain the approach "
        "briefly with an example of its use.",
    ),
    _kind(
        "math",
        r"calculate|solve|equation|integral|derivative|prove|proof|probability|theorem|how (?:much|many)|"
        r"\d+\s*[-+*/^×÷]\s*\d+",
        "Work step by step, then state the result clearly and check it.",
    ),
    _kind(
        "brainstorming",
        r"brainstorm|ideas?\b|suggest(?:ions)?|name (?:for|ideas)|alternatives",
        "Offer several clearly different possibilities, with one line each on why it could work.",
    ),
    _kind(
        "planning",
        r"plan\b|roadmap|schedule|itinerary|steps to|strategy|"
        r"how (?:do|can|should) i (?:start|learn|become|prepare)",
        "Give a sequence of concrete steps with what each needs and produces, and name the main risks.",
    ),
    _kind(
        "editing",
        r"proofread|rewrite|rephrase|edit (?:my|this)|"
        r"improve (?:my|this|the) (?:text|essay|e-?mail|paragraph|writing)",
        "Keep the author's meaning and voice; show the improved text first, then the main changes.",
    ),
    _kind(
        "creative",
        r"story|poem|haiku|lyrics|fiction|dialogue|character|joke",
        "Choose a clear setting and voice, use concrete detail, and give it a beginning and an end.",
    ),
    _kind(
        "writing",
        r"write|draft|compose|essay|article|blog|e-?mail|letter|post\b|report\b|speech",
        "Fit tone and length to its readers, give it a clear structure, and leave out filler.",
    ),
    _kind(
        "analysis",
        r"analy[sz]e|analysis|evaluate|assess|impact of|cause[sd]? of|implications?|"
        r"why (?:does|do|is|are|did)",
        "Separate facts from interpretation, look at more than one explanation, and end with what follows.",
    ),
    _kind(
        "explanation",
        r"explain|tell me about|what (?:is|are)|how (?:does|do|is|are)|describe|overview|introduc",
        "Start with a plain definition, then how it works and why it matters, with one concrete example.",
    ),
    _kind("conversation", r"hi\b|hello|hey\b|thanks|thank you|good (?:morning|evening)|how are you", ""),
)
_GENERAL = _Kind(
    "general", re.compile(""), "Answer directly first, then give the reasons and what to watch for."
)

_CODE_KINDS = frozenset({"debugging", "refactoring", "code_review", "testing", "code"})

_LANGUAGES = (
    ("python", r"python|django|flask|fastapi|pandas|numpy|\.py\b"),
    ("typescript", r"typescript|\.tsx?\b|angular"),
    ("javascript", r"javascript|node(?:\.?js)?\b|react|vue|\.jsx?\b"),
    ("java", r"java\b|spring boot"),
    ("kotlin", r"kotlin"),
    ("rust", r"rust\b|cargo"),
    ("go", r"golang|\bgo (?:code|function|program|routine)|in go\b"),
    ("c++", r"c\+\+|cpp\b"),
    ("c#", r"c#|\.net\b|csharp"),
    ("c", r"in c\b|\bc (?:code|function|program)"),
    ("php", r"php\b|laravel"),
    ("ruby", r"ruby|rails"),
    ("swift", r"swift\b|swiftui"),
    ("sql", r"sql\b|postgres|sqlite|mysql"),
    ("bash", r"bash|shell script|zsh"),
    ("html", r"html\b"),
    ("css", r"css\b"),
)
_LANGUAGE_PATTERNS = tuple(
    (name, re.compile(rf"(?<!\w)(?:{words})", re.IGNORECASE)) for name, words in _LANGUAGES
)

# Signs that a prompt is already specific.
_SIGNALS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"```|`[^`]+`",
        r"\d",
        r"\b(?:must|should|needs? to|require[sd]?|exactly|at (?:least|most)|only|without|including)\b",
        r"\b(?:for example|e\.g\.|such as|like this)\b",
        r"\b(?:format|json|table|bullet|list|paragraphs?|words|sentences|markdown|csv)\b",
        r"\b(?:because|so that|in order to|given that|context|audience|background)\b",
        r"[:;]\s|\n\s*[-*\d]",
    )
)


def enhance(prompt: str) -> Enhanced:
    """Add what prompts of this kind usually lack. Deterministic."""
    kind = next((kind for kind in _KINDS if kind.words.search(prompt)), _GENERAL)
    language = next((name for name, pattern in _LANGUAGE_PATTERNS if pattern.search(prompt)), None)
    if not prompt.strip() or not kind.addition or _is_specific(prompt):
        return Enhanced(prompt, False, kind.name, language, prompt)
    additions = [kind.addition]
    if kind.name in _CODE_KINDS:
        additions.insert(
            0, f"Use {_spelled(language)}." if language else "Say which programming language you use."
        )
    return Enhanced(f"{prompt.rstrip()}\n\n{' '.join(additions)}", True, kind.name, language, prompt)


def enhance_request(request: ChatRequest) -> tuple[ChatRequest, Enhancement]:
    """Enhance the last text of the last user message that has one."""
    messages = list(request.messages)
    for position in reversed(range(len(messages))):
        parts = list(messages[position].parts)
        texts = [at for at, part in enumerate(parts) if isinstance(part, Text) and part.text.strip()]
        if messages[position].role is not Role.USER or not texts:
            continue
        part = parts[texts[-1]]
        assert isinstance(part, Text)
        result = enhance(part.text)
        parts[texts[-1]] = msgspec.structs.replace(part, text=result.enhanced_prompt)
        messages[position] = msgspec.structs.replace(messages[position], parts=tuple(parts))
        enhancement = Enhancement(result.changed, part.text, result.enhanced_prompt, result.query_type)
        return msgspec.structs.replace(request, messages=tuple(messages)), enhancement
    return request, Enhancement(applied=False, original_prompt="", enhanced_prompt="", query_type="")


def _is_specific(prompt: str) -> bool:
    if len(prompt.split()) < SPECIFIC_WORDS:
        return False
    return sum(signal.search(prompt) is not None for signal in _SIGNALS) >= SPECIFIC_SIGNALS


def _spelled(language: str) -> str:
    names = {"javascript": "JavaScript", "typescript": "TypeScript", "php": "PHP", "sql": "SQL"}
    names |= {"html": "HTML", "css": "CSS"}
    return names.get(language, language.capitalize())
