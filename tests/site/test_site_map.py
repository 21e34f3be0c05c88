"""Tests that visit every page do: the list of pages has each path that answers with one."""

from collections.abc import Iterator

from django.test import Client
from django.urls import Resolver404, resolve

from tests.security.conftest import filled, paths
from tests.site_map import PAGES, STRANGERS_PAGES, furnish

_NAMES = {
    "request_id": "request", "number": "statement", "slug": "quickstart", "model_id": "gpt-5.2",
}  # fmt: skip
_NO_PAGES = ("api/", "v1/", "^")


def routes(listed: tuple[str, ...], objects: dict[str, str]) -> Iterator[str]:
    for page in listed:
        try:
            yield resolve(page.format(**objects).partition("?")[0]).route
        except Resolver404:
            continue


def is_whole_page(client: Client, path: str) -> bool:
    answer = client.get(path)
    is_html = answer.headers.get("Content-Type", "").startswith("text/html")
    return answer.status_code == 200 and is_html and b"<html" in answer.content


def test_the_site_map_has_every_page(server: str) -> None:
    furnished = furnish(server)
    objects = furnished.objects
    known = {*routes(PAGES, objects), *routes(STRANGERS_PAGES, objects)}
    missing = set()
    for client in (furnished.browser(), Client()):
        for route in set(paths()) - known:
            kind = next((kind for kind in ("channel", "member", "account") if kind in route), "key")
            values = {name: objects.get(to, to) for name, to in _NAMES.items()} | {"pk": objects[kind]}
            if not route.startswith(_NO_PAGES) and is_whole_page(client, filled(route, **values)):
                missing.add(route)
    assert not missing, "add them to PAGES in tests/site_map.py"
