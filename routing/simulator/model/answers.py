"""The answers of a simulated model: deterministic by prompt and model, readable, marked as simulated."""

import re
from hashlib import blake2b

import msgspec

from routing.simulator.model import tokens
from routing.simulator.model.continuation import MANNERS, cut_off, rest
from routing.simulator.model.facts import known_answer
from routing.simulator.model.structured_output import example
from routing.simulator.model.tool_use import calls_for
from routing.simulator.shared.prompt import REFUSAL_PHRASE, Answer, Call, Generation

# Reasoning tokens of an ordinary prompt at each effort; a hard one takes up to four times as many.
_REASONING = {"none": 0, "minimal": 0, "low": 64, "medium": 192, "high": 448, "xhigh": 896, "max": 1536}
_REASONING_OF_EASY = {"high": 64, "xhigh": 128, "max": 192}  # a fact needs little thought at any effort

_STOPWORDS = frozenset(
    re.findall(
        r"\w+",
        "about above after again against because before being between could does doing down during each "
        "from further have having here into itself just more most only other over please same should some "
        "such than that their them then there these they this those through under until very what when "
        "where which while will with would write your explain describe give tell show make create using "
        "used need want help",
    )
)

# Real models also follow a JSON instruction in words, so a simulated one does, unless the text is dictated.
_ECHO = re.compile(r"reply with exactly", re.IGNORECASE)
_JSON_IN_WORDS = re.compile(r"\bone JSON (?:object|document) and nothing else", re.IGNORECASE)

_OPENINGS = (
    "Here is a way to look at {topic}.",
    "Let us take {topic} step by step.",
    "The question is really about {topic}.",
    "There are a few things worth saying on {topic}.",
)

_MIDDLES = (
    "It helps to separate what is given about {a} from what has to be found out about {b}. Once both are "
    "written down, the remaining work is smaller than it looks at first.",
    "A good first step is to state the assumptions behind {a}. Most disagreements on {b} come from "
    "assumptions that nobody wrote down.",
    "In practice {a} and {b} pull in different directions: more of one costs some of the other. Choose the "
    "balance that fits the purpose, and check it again when the purpose changes.",
    "An example makes it clearer. Take a small case of {a}, work it through by hand, and compare the outcome "
    "with what you expected of {b}.",
    "The usual mistake is to start from {b} and only later look at {a}. Turning the order around avoids "
    "most of the rework.",
    "To check the result, change one thing about {a} and see whether {b} moves as it should. If it does not, "
    "an assumption above is wrong.",
    "Finally, note what was left out: limits on {a}, unusual forms of {b}, and the cost of being wrong.",
)


def compose(generation: Generation, index: int = 0, manner: str | None = None) -> Answer:
    """Choice number `index`, cut by stop sequences and by the token limit.

    `manner`: how it goes on with an answer that was cut; None: as its seed will have it.
    """
    thought = _reasoning_tokens(generation)
    reasoning = _reasoning_text(generation) if thought else ""
    if REFUSAL_PHRASE in generation.prompt.lower():
        text = "I'm sorry, but I can't help with that request."
        return _finished(generation, Answer(text, reasoning, thought, 0, "refusal"))
    calls = calls_for(generation)
    if calls:
        return _finished(generation, Answer("", reasoning, thought, 0, "tool_calls", calls=calls))
    text = _text(generation, index, manner)
    stopped = _first_stop(text, generation.stop)
    if stopped is not None:
        text, sequence = stopped
        return _finished(
            generation, Answer(text, reasoning, thought, 0, "stop_sequence", stop_sequence=sequence)
        )
    return _finished(generation, Answer(text, reasoning, thought, 0, "stop"))


def _finished(generation: Generation, answer: Answer) -> Answer:
    """Counts the tokens and applies the limit: reasoning is spent first, then calls or text."""
    completion = answer.text + "".join(_call_text(call) for call in answer.calls)
    total = answer.reasoning_tokens + max(1, tokens.count(completion, generation.model))
    limit = generation.max_tokens if generation.max_tokens is not None else generation.model.max_output_tokens
    if total <= limit:
        return msgspec.structs.replace(answer, output_tokens=total)
    thought = min(answer.reasoning_tokens, limit)
    text = "" if answer.calls else tokens.truncate(answer.text, limit - thought, generation.model)
    reasoning = answer.reasoning if thought == answer.reasoning_tokens else ""
    return Answer(text, reasoning, thought, limit, "length")


def _text(generation: Generation, index: int, manner: str | None) -> str:
    if (cut := cut_off(generation)) is not None:
        completion, before = cut
        manner = manner or MANNERS[_seed(generation, index) % len(MANNERS)]
        return rest(_text(before, index, None), completion, manner)
    if generation.schema is not None:
        return msgspec.json.encode(
            example(generation.schema, generation.prompt, _plain(generation, index))
        ).decode()
    text = _plain(generation, index)
    if generation.json_object or (
        _JSON_IN_WORDS.search(generation.system) and not _ECHO.search(generation.prompt)
    ):
        return msgspec.json.encode({"answer": text, "model": generation.model.id, "simulated": True}).decode()
    return text


def _plain(generation: Generation, index: int) -> str:
    if generation.fresh_results:
        quoted = "; ".join(result.strip() for result in generation.fresh_results)
        return f"The tool returned: {quoted}. That answers your question."
    earlier = tuple(turn.text for turn in generation.turns if turn.role == "user")[:-1]
    known = known_answer(generation.prompt, earlier)
    if known is not None:
        return known
    if re.search(
        r"\b(code|function|python|javascript|sql|script|refactor|implement|regex|class)\b",
        generation.prompt,
        re.I,
    ):
        return _code(generation, index)
    return _essay(generation, index)


def _essay(generation: Generation, index: int) -> str:
    topics = _topics(generation.prompt)
    seed = _seed(generation, index)
    paragraphs = [_OPENINGS[seed % len(_OPENINGS)].format(topic=_listing(topics))]
    for step in range(2 + generation.model.tier + (1 if len(generation.prompt) > 400 else 0)):
        sentence = _MIDDLES[(seed // 7 + step * 3) % len(_MIDDLES)]
        a, b = topics[step % len(topics)], topics[(step + 1) % len(topics)]
        paragraphs.append(sentence.format(a=a, b=b if b != a else "its context"))
    paragraphs.append(f"(This text was composed by the simulated model {generation.model.id}.)")
    return "\n\n".join(paragraphs)


def _code(generation: Generation, index: int) -> str:
    topics = _topics(generation.prompt)
    name = re.sub(r"\W+", "_", "_".join(topics[:2])).strip("_").lower() or "answer"
    name = f"f_{name}" if name[0].isdigit() else name
    lines = [
        f"Here is a small function for {_listing(topics)}:",
        "",
        "```python",
        f"def {name}(items: list[int]) -> int:",
        f'    """Written by the simulated model {generation.model.id}; stands in for {topics[0]}."""',
        "    total = 0",
        "    for item in items:",
        "        total += item",
        "    return total",
        "```",
        "",
    ]
    seed = _seed(generation, index)
    for step in range(generation.model.tier + 1):
        sentence = _MIDDLES[(seed + step * 3) % len(_MIDDLES)]
        lines += [sentence.format(a=f"`{name}`", b=topics[-1]), ""]
    return "\n".join(lines).rstrip()


def _reasoning_tokens(generation: Generation) -> int:
    if generation.effort is None:
        return 0
    if known_answer(generation.prompt) is not None or generation.fresh_results:
        return _REASONING_OF_EASY.get(generation.effort, 0)
    hard = re.search(
        r"\b(prove|proof|theorem|integral|optimi[sz]e|refactor|algorithm|debug)\b", generation.prompt, re.I
    )
    factor = 1 + min(2, len(generation.prompt) // 800) + (1 if hard else 0)
    return _REASONING.get(generation.effort, 0) * factor


def _reasoning_text(generation: Generation) -> str:
    topics = _topics(generation.prompt)
    return f"The user asks about {_listing(topics)}. I will state the main points and check them once."


def _topics(prompt: str) -> list[str]:
    """The distinctive words of the prompt's last 2,000 characters, most frequent first, at least one."""
    words = re.findall(r"[^\W\d_][\w-]{3,}", prompt[-2000:])
    counts: dict[str, int] = {}
    for word in words:
        if word.lower() not in _STOPWORDS:
            counts[word.lower()] = counts.get(word.lower(), 0) + 1
    ranked = sorted(counts, key=lambda word: (-counts[word], -len(word), word))
    return ranked[:4] or ["your request"]


def _listing(topics: list[str]) -> str:
    shown = topics[:3]
    return shown[0] if len(shown) == 1 else ", ".join(shown[:-1]) + " and " + shown[-1]


def _seed(generation: Generation, index: int) -> int:
    data = f"{generation.model.id}\0{index}\0{generation.system}\0{generation.prompt}".encode()
    return int.from_bytes(blake2b(data, digest_size=4).digest())


def _first_stop(text: str, stops: tuple[str, ...]) -> tuple[str, str] | None:
    hits = [(text.index(stop), stop) for stop in stops if stop and stop in text]
    if not hits:
        return None
    where, stop = min(hits)
    return text[:where], stop


def _call_text(call: Call) -> str:
    return call.name + call.written
