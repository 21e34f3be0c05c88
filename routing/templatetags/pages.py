"""How the dashboard names models and skills, and coordinates of its pictures. `{% load pages %}`

Numbers are written by core/numbers/formats.py, whose tags and filters need no loading.
"""

import itertools
from collections.abc import Mapping

from django import template
from django.template.loader import render_to_string
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from core.numbers import formats
from routing.catalog.live import catalog
from routing.decide.prediction.skills import WORDS
from routing.pages.docs.glossary import glossary

register = template.Library()

_DASH = formats.DASH
_EFFORTS = {"none": "no reasoning"}
_term_numbers = itertools.count(1)  # a page may have a term twice, and parts of it come later


@register.simple_tag
def model(model_id: str, effort: str | None = None) -> SafeString:
    """The one way a page names a model: its display name with the id on hover, and a chip for the effort.

    Without `effort`, `model_id` may be an arm as decisions name them, "gpt-5-mini@low".
    """
    model_id, effort = _parts(model_id, effort)
    if not model_id:
        return format_html('<span class="faint">{}</span>', _DASH)
    chip = format_html(' <span class="effort">{}</span>', effort_text(effort)) if effort else ""
    return format_html('<span class="named" title="{}">{}</span>{}', model_id, display_name(model_id), chip)


@register.simple_tag
def model_text(model_id: str, effort: str | None = None) -> str:
    """The same as plain text, for attributes and sentences: "GPT-5 mini · low"."""
    model_id, effort = _parts(model_id, effort)
    name = display_name(model_id)
    return f"{name} · {effort_text(effort)}" if effort else name


register.simple_tag(model_text, name="arm")


@register.simple_tag
def term(anchor: str, words: str = "") -> SafeString:
    """`{% term "candidate" "Candidates" %}`: a term of docs/guide/glossary.md, in other words if need be."""
    return _term("components/term.html", anchor, words=words or glossary()[anchor].name.lower())


@register.simple_tag
def term_help(anchor: str) -> SafeString:
    """`{% term_help "effort" %}`: the same beside a label, which a link within it would make ambiguous."""
    return _term("components/term_help.html", anchor)


def _term(template: str, anchor: str, **parts: str) -> SafeString:
    known = {"term": glossary()[anchor], "id": f"term-{anchor}-{next(_term_numbers)}"}
    return mark_safe(render_to_string(template, known | parts).strip())  # noqa: S308 - a template's


@register.filter
def display_name(model_id: str) -> str:
    """The catalog's name of a model; its id where the catalog has none."""
    facts = catalog.snapshot.models.get(model_id)
    return facts.name if facts else model_id


@register.filter
def of(values: Mapping[str, object], name: str) -> object:
    """The value of that name; a dash if it is missing."""
    return values.get(name, _DASH)


@register.filter
def effort_text(effort: str) -> str:
    """A reasoning effort in words."""
    return _EFFORTS.get(effort, effort)


@register.filter
def rounded(usd: float | None, places: int) -> float | None:
    """An estimate in USD rounded to its meaningful digits."""
    return None if usd is None else round(usd, places)


@register.filter
def skill(name: str) -> str:
    """A skill as the decision's sentences call it: "humanities" → "general knowledge"."""
    return WORDS.get(name, words(name)) if name else _DASH  # type: ignore[call-overload]


@register.filter
def words(name: str) -> str:
    """An identifier in words: "competition_math" → "competition math"."""
    return name.replace("_", " ") if name else _DASH


@register.filter
def add_px(value: float, offset: float) -> float:
    """SVG coordinates: `add` truncates, this does not."""
    return round(value + offset, 1)


@register.filter
def percent_px(value: float) -> float:
    """A share of 1 as a width in a viewBox 100 wide."""
    return round(value * 100, 2)


def _parts(model_id: str, effort: str | None) -> tuple[str, str | None]:
    """Split the name of an arm, where no effort is passed."""
    if effort is None and "@" in model_id:
        model_id, _, effort = model_id.partition("@")
    return model_id, effort
