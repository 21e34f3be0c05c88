"""The glossary: pages use its terms alone, and each leads to a section of the documentation that exists."""

import re
from pathlib import Path

import pytest
from django.template import Context, Template
from django.test import Client

from accounts.forms.settings import AccountForm
from routing.pages.docs.glossary import glossary

ROOT = Path(__file__).resolve().parent.parent.parent
_TERM = re.compile(r'{% term(?:_help)? "([^"]+)"|{% field [^%]*term="([^"]+)"')
USED = sorted(
    {
        term
        for path in (ROOT / "templates").rglob("*.html")
        for terms in _TERM.findall(path.read_text())
        for term in terms
        if term
    }
)


def test_pages_use_terms_of_the_glossary_alone() -> None:
    assert USED
    assert not set(USED) - glossary().keys()


def test_each_term_of_the_glossary_is_on_a_page() -> None:
    assert not glossary().keys() - set(USED)


def test_a_label_has_its_term_beside_it_and_not_within(db: None) -> None:
    shown = Template('{% load components %}{% field form.strategy term="strategy" %}').render(
        Context({"form": AccountForm()})
    )
    label, _, after = shown.partition("</label>")
    assert "glossary" not in label
    assert 'aria-label="What Strategy means"' in after


@pytest.mark.parametrize("anchor", glossary())
def test_each_term_has_a_short_meaning_and_its_section_exists(anchor: str, db: None) -> None:
    entry = glossary()[anchor]
    path, _, fragment = entry.url.partition("#")
    assert f'id="{fragment}"' in Client().get(path).content.decode()
    assert 20 <= len(entry.meaning) <= 180
    assert entry.meaning.endswith(".")


def test_a_term_is_a_link_described_by_its_meaning() -> None:
    shown = Template('{% load pages %}{% term "baseline" "your baseline" %}').render(Context())
    (described,) = re.findall(
        r'<a href="/docs/glossary#baseline" aria-describedby="([^"]+)">your baseline</a>', shown
    )
    assert f'role="tooltip" id="{described}">The one model' in shown


def test_two_terms_of_one_page_have_ids_of_their_own() -> None:
    shown = Template('{% load pages %}{% term "skill" %}{% term "skill" %}').render(Context())
    assert len(set(re.findall(r' id="([^"]+)"', shown))) == 2
