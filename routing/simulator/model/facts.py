"""The facts that simulated models know: capitals and others, plain arithmetic, the user's name."""

import ast
import operator
import re
from collections.abc import Callable
from fractions import Fraction

_CAPITALS = {
    "france": "Paris",
    "germany": "Berlin",
    "italy": "Rome",
    "spain": "Madrid",
    "portugal": "Lisbon",
    "england": "London",
    "the united kingdom": "London",
    "ireland": "Dublin",
    "japan": "Tokyo",
    "china": "Beijing",
    "india": "New Delhi",
    "australia": "Canberra",
    "canada": "Ottawa",
    "brazil": "Brasília",
    "argentina": "Buenos Aires",
    "mexico": "Mexico City",
    "the united states": "Washington, D.C.",
    "egypt": "Cairo",
    "kenya": "Nairobi",
    "nigeria": "Abuja",
    "turkey": "Ankara",
    "poland": "Warsaw",
    "austria": "Vienna",
    "switzerland": "Bern",
    "sweden": "Stockholm",
    "norway": "Oslo",
    "denmark": "Copenhagen",
    "finland": "Helsinki",
    "greece": "Athens",
    "the netherlands": "Amsterdam",
    "belgium": "Brussels",
    "south korea": "Seoul",
}

_FACTS: tuple[tuple[str, str], ...] = (
    (
        r"who (wrote|is the author of) (romeo and juliet|hamlet|macbeth)",
        "{2} was written by William Shakespeare.",
    ),
    (r"boiling point of water", "Water boils at 100 °C (212 °F) at sea level."),
    (r"freezing point of water", "Water freezes at 0 °C (32 °F)."),
    (r"speed of light", "The speed of light in vacuum is 299,792,458 metres per second."),
    (
        r"how many (planets|planets are) .*solar system",
        "There are eight planets in the solar system.",
    ),
    (r"largest planet", "Jupiter is the largest planet in the solar system."),
    (r"largest ocean", "The Pacific Ocean is the largest ocean on Earth."),
    (
        r"(tallest|highest) mountain",
        "Mount Everest is the highest mountain above sea level, at 8,849 metres.",
    ),
    (r"how many days .*\bweek\b", "There are seven days in a week."),
    (r"how many days .*leap year", "A leap year has 366 days."),
    (r"chemical (formula|symbol) (for|of) water", "The chemical formula of water is H₂O."),
    (r"chemical symbol (for|of) gold", "The chemical symbol of gold is Au."),
    (r"who painted the mona lisa", "The Mona Lisa was painted by Leonardo da Vinci."),
    (r"(when|what year) did (world war (ii|2|two)|the second world war) end", "It ended in 1945."),
    (r"colou?r (is|of) the sky", "The sky is blue on a clear day."),
    (r"^\W*(hi|hello|hey|good (morning|evening|day))\b[^?]{0,20}$", "Hello! How can I help you today?"),
    (r"^\W*(thanks|thank you)\b.{0,20}$", "You're welcome!"),
    (r"^\W*ping\W*$", "pong"),
)

_ECHO = re.compile(
    r"^\W*(?:please\s+)?(?:say|repeat|echo|(?:reply|respond|answer)\s+(?:only\s+)?with)"
    r"(?:\s+(?:exactly|just|only|the word|this|after me))*\s*:?\s*(.{1,400}?)\s*$",
    re.IGNORECASE | re.DOTALL,
)

_OPERATORS: dict[type[ast.operator], Callable[[Fraction, Fraction], Fraction]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def known_answer(prompt: str, earlier: tuple[str, ...] = ()) -> str | None:
    """A short true answer when there is one. `earlier`: the user's texts of earlier turns."""
    text = prompt.strip()
    if len(text) > 400:
        return None
    return _capital(text) or _fact(text) or _name(text, earlier) or _echo(text) or _arithmetic(text)


def _capital(text: str) -> str | None:
    match = re.search(r"capital (?:city )?of ([A-Za-z ]+)", text, re.IGNORECASE)
    if match is None:
        return None
    country = match[1].strip().lower()
    for name, capital in _CAPITALS.items():
        if country in {name, name.removeprefix("the ")} or country.startswith(name + " "):
            shown = " ".join(word if word == "the" else word.capitalize() for word in name.split())
            return f"The capital of {shown} is {capital}."
    return None


def _fact(text: str) -> str | None:
    for pattern, answer in _FACTS:
        match = re.search(pattern, text, re.IGNORECASE)
        if match:
            return answer.replace("{2}", match[2].title()) if "{2}" in answer else answer
    return None


def _name(text: str, earlier: tuple[str, ...]) -> str | None:
    if not re.search(r"what(?:'s| is) my name", text, re.IGNORECASE):
        return None
    for message in reversed(earlier):
        match = re.search(r"\b(?i:my name is|i am|i'm) ([A-Z]\w+)", message)
        if match:
            return f"Your name is {match[1]}."
    return "You haven't told me your name."


def _echo(text: str) -> str | None:
    match = _ECHO.match(text)
    if match is None:
        return None
    words = match[1].strip()
    quoted = re.fullmatch(r"[\"'“‘`](.*)[\"'”’`][.!]?", words, re.DOTALL)
    return quoted[1] if quoted else words


def _arithmetic(text: str) -> str | None:
    spoken = re.sub(r"\b(times|multiplied by)\b|×", "*", text.lower())
    spoken = re.sub(r"\bplus\b", "+", re.sub(r"\bminus\b|−", "-", spoken))
    spoken = re.sub(r"\bdivided by\b|÷", "/", re.sub(r"(?<=\d),(?=\d{3}\b)", "", spoken))
    match = re.search(r"[(\d][\d\s.+*/()-]*[+*/-][\d\s.+*/()-]*[\d)]", spoken)
    if match is None or len(match[0]) > 100:
        return None
    expression = match[0].strip()
    try:
        value = _value(ast.parse(expression, mode="eval").body)
    except (SyntaxError, ValueError, ZeroDivisionError):
        return None
    shown = str(value.numerator) if value.denominator == 1 else f"{float(value):.6g}"
    return f"{expression} = {shown}"


def _value(node: ast.expr) -> Fraction:
    match node:
        case ast.Constant(value=int() | float() as number):
            return Fraction(str(number))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_value(left), _value(right))
    raise ValueError("not arithmetic")
