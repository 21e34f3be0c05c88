"""The documentation in the product, through its public pages."""

import re
from html import unescape
from pathlib import Path

import pytest
from django.test import Client

from routing.pages.docs.library import library

ROOT = Path(__file__).resolve().parent.parent.parent
SLUGS = [page.slug for page in library().pages]


@pytest.fixture
def page(db: None) -> Client:
    return Client()


def test_the_index_links_to_every_page_of_the_folder(page: Client) -> None:
    html = page.get("/docs").content.decode()
    files = [path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")]
    slugs = {
        name.removesuffix(".md").removeprefix("guide/")
        if name.startswith("guide/")
        else f"reference/{name.removesuffix('.md')}"
        for name in files
    } - {"index"}
    assert slugs == set(SLUGS)
    assert not [slug for slug in slugs if f'href="/docs/{slug}"' not in html]


@pytest.mark.parametrize("slug", SLUGS)
def test_a_page_opens_and_its_links_resolve(page: Client, slug: str) -> None:
    answer = page.get(f"/docs/{slug}")
    assert answer.status_code == 200
    html = answer.content.decode()
    article = html[html.index("<article") : html.index("</article>")]
    assert article.count("<h1>") == 1
    anchors = {other.slug: {part.anchor for part in other.document.sections} for other in library().pages}
    for target in re.findall(r'href="(/docs/[^"]+|#[^"]+)"', article):
        path, _, anchor = target.partition("#")
        linked = path.removeprefix("/docs/") or slug
        assert linked in anchors, target
        assert not anchor or anchor in anchors[linked], target
    assert not re.findall(r'href="[^"]*\.md', article)
    ids = re.findall(r' id="([^"]+)"', html)
    assert len(ids) == len(set(ids))


def test_pages_have_contents_and_neighbours(page: Client) -> None:
    html = page.get("/docs/authentication").content.decode()
    assert 'rel="prev"' in html
    assert 'href="/docs/quickstart"' in html
    assert re.search(r'href="/docs/sdks" rel="next"', html)
    assert 'href="#rotate-and-revoke"' in html
    assert 'id="rotate-and-revoke"' in html
    assert 'aria-current="page"' in html


def test_samples_call_the_address_that_the_reader_uses(page: Client) -> None:
    html = page.get("/docs/quickstart", headers={"host": "docs.localhost:9000"}).content.decode()
    assert "http://docs.localhost:9000/api/v1/chat" in html
    assert "localhost:8000" not in html


def test_samples_are_tabs_without_a_script(page: Client) -> None:
    html = page.get("/docs/strategies").content.decode()
    tabs = re.search(r'<div class="code-tabs">(.*?)<div class="copybox', html, re.DOTALL)
    assert tabs
    assert re.findall(r"<label[^>]*>(\w+)</label>", tabs[1]) == ["curl", "Python", "JavaScript"]
    assert tabs[1].count('type="radio"') == 3
    assert tabs[1].count("checked") == 1
    assert '<span class="' in html  # highlighted by classes: the policy forbids inline styles
    assert "style=" not in html


@pytest.mark.parametrize(
    ("path", "page_path"),
    [
        ("/docs/", "/docs"),
        ("/docs/streaming/", "/docs/streaming"),
        ("/docs/search/?q=a+b", "/docs/search?q=a+b"),
        ("/docs/reference/ledger/", "/docs/reference/ledger"),
    ],
)
def test_a_slash_at_the_end_leads_to_the_page(page: Client, path: str, page_path: str) -> None:
    answer = page.get(path)
    assert (answer.status_code, answer["Location"]) == (301, page_path)


def test_an_unknown_page_is_a_404(page: Client) -> None:
    assert page.get("/docs/nothing").status_code == 404
    assert page.get("/docs/../README").status_code == 404


@pytest.mark.parametrize(
    ("query", "slug"),
    [
        ("idempotency key", "idempotency"),
        ("rotate a key", "authentication"),
        ("how are savings computed", "savings"),
        ("streaming", "streaming"),
        ("fallback", "fallback"),
        ("retry-after 429", "rate-limits"),
        ("litellm", "migrate-litellm"),
        ("max_cost_usd", "cost-control"),
        ("budget_too_low", "errors"),
        ("json schema", "tools"),
        ("postgres", "reference/configuration"),
    ],
)
def test_search_finds_the_page_about_it(page: Client, query: str, slug: str) -> None:
    html = page.get("/docs/search", {"q": query}).content.decode()
    results = re.search(r'<ol class="docs-results">(.*?)</ol>', html, re.DOTALL)
    assert results
    urls = re.findall(r'href="/docs/([^"#]+)', results[1])
    assert slug in urls[:3]


def test_search_completes_a_word_while_typing_and_answers_a_part(page: Client) -> None:
    html = page.get("/docs/search", {"q": "idempot"}, headers={"HX-Request": "true"}).content.decode()
    assert "<html" not in html
    assert 'href="/docs/idempotency"' in html


def test_search_marks_matches_and_escapes_the_rest(page: Client) -> None:
    html = page.get("/docs/search", {"q": "<script>alert(1)</script> overlap"}).content.decode()
    assert "<script>alert" not in html
    assert "<mark>" in html
    nothing = page.get("/docs/search", {"q": "xyzzyplugh"}).content.decode()
    assert "Nothing matches “xyzzyplugh”" in unescape(nothing)
    assert page.get("/docs/search", {"q": "the of"}).status_code == 200


def test_the_landing_page_links_to_the_docs(page: Client) -> None:
    assert page.get("/").content.decode().count('href="/docs"') == 3
