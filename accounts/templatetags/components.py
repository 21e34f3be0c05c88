"""Template components that need more than an include: those with a body or with computed values.

`{% load components %}`. Markup stays in templates/components/, one file each with its parameters on top; the
others there are used by `{% include "components/name.html" with … only %}`.
"""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from allauth.account.models import EmailAddress
from django import template
from django.conf import settings
from django.forms import BoundField, CheckboxInput, CheckboxSelectMultiple, RadioSelect
from django.template import Context
from django.template.base import FilterExpression, NodeList, Parser, Token
from django.template.loader import render_to_string
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.safestring import SafeString, mark_safe

from accounts.access import may_change

register = template.Library()

# Groups of (label, URL name, icon); a link shows as soon as its URL exists
_NAV: tuple[tuple[str, tuple[tuple[str, str, str], ...]], ...] = (
    (
        "Observe",
        (
            ("Home", "home", "house"),
            ("Requests", "requests", "list"),
            ("Usage", "usage", "chart-column"),
            ("Savings", "savings", "piggy-bank"),
        ),
    ),
    (
        "Route",
        (
            ("Playground", "playground", "play"),
            ("Models", "models", "boxes"),
            ("Learning", "learning", "flask-conical"),
        ),
    ),
    ("Build", (("Keys", "keys", "key-round"), ("Docs", "docs", "book-open"))),
    (
        "Account",
        (
            ("Limits", "limits", "gauge"),
            ("Statements", "statements", "receipt"),
            ("Billing", "payment", "credit-card"),
            ("Members", "members", "users"),
            ("Audit", "audit", "clock"),
            ("Settings", "settings", "settings"),
        ),
    ),
    ("Operate", (("Operator", "operator", "shield"),)),
)


@register.simple_block_tag
def card(content: str, title: str = "", note: str = "", classes: str = "") -> str:
    """`{% card title="Limits" note="…" classes="card-flush" %}…{% endcard %}`"""
    parts = {"content": content, "title": title, "note": note, "classes": classes}
    return render_to_string("components/card.html", parts)


@register.simple_block_tag
def fold(
    content: str,
    title: str,
    note: str = "",
    id: str = "",  # noqa: A002 - named as the attribute it sets
    opened: object = False,
    classes: str = "",
) -> str:
    """`{% fold title="Details" note="what it holds" %}…{% endfold %}`. `is-flush`: without margins."""
    parts = {"content": content, "title": title, "note": note, "id": id, "opened": opened, "classes": classes}
    return render_to_string("components/fold.html", parts)


@register.simple_block_tag
def table(content: str, label: str, classes: str = "table-cards") -> str:
    """`{% table label="Keys" %}<thead>…</thead><tbody>…</tbody>{% endtable %}`"""
    return render_to_string("components/table.html", {"content": content, "label": label, "classes": classes})


@register.simple_block_tag
def dialog(content: str, id: str, title: str) -> str:  # noqa: A002 - named as the attribute it sets
    """`{% dialog id="help" title="Shortcuts" %}…{% enddialog %}`, opened by `<button data-dialog="help">`."""
    return render_to_string("components/dialog.html", {"content": content, "id": id, "title": title})


class _StatNode(template.Node):
    def __init__(
        self,
        label: FilterExpression,
        classes: FilterExpression | None,
        value: NodeList,
        tone: FilterExpression | None,
        note: NodeList,
    ) -> None:
        self.label, self.classes, self.value, self.tone, self.note = label, classes, value, tone, note

    def render(self, context: Context) -> SafeString:
        parts = {
            "label": self.label.resolve(context),
            "classes": self.classes.resolve(context) if self.classes else "",
            "value": mark_safe(self.value.render(context).strip()),  # noqa: S308 - rendered by templates
            "tone": self.tone.resolve(context) if self.tone else "",
            "note": mark_safe(self.note.render(context).strip()),  # noqa: S308
        }
        return render_to_string("components/stat.html", parts)


@register.tag
def stat(parser: Parser, token: Token) -> _StatNode:
    """A figure: `{% stat "Spend" %}{% money usd %}{% note tone %}note{% endstat %}`.

    A second argument adds classes to the value. The note and its tone (good, warn, bad) are optional.
    """
    label, *classes = [parser.compile_filter(bit) for bit in token.split_contents()[1:]]
    value = parser.parse(("note", "endstat"))
    tag, *tone = parser.next_token().split_contents()
    note = NodeList()
    if tag == "note":
        note = parser.parse(("endstat",))
        parser.delete_first_token()
    return _StatNode(
        label, classes[0] if classes else None, value, parser.compile_filter(tone[0]) if tone else None, note
    )


@register.inclusion_tag("components/forms/field.html")
def field(bound: BoundField, label: str = "", term: str = "") -> dict[str, object]:
    """A form field with label, help and errors, tied together for screen readers.

    `term`: an anchor of the glossary, whose meaning is shown beside the label.
    """
    widget = bound.field.widget
    return {
        "field": bound,
        "label": label or bound.label,
        "term": term,
        "is_check": isinstance(widget, CheckboxInput),
        "is_group": isinstance(widget, RadioSelect | CheckboxSelectMultiple),
    }


@register.inclusion_tag("components/icon.html")
def icon(name: str, classes: str = "") -> dict[str, object]:
    """`{% icon "copy" %}`: a symbol of static/icons.svg, hidden from screen readers."""
    return {"name": name, "classes": classes}


class MissingTimeZone(LookupError):
    """A template shows a time and passes neither the viewer nor a zone."""


@register.inclusion_tag("components/time.html", takes_context=True)
def time(
    context: Context,
    when: datetime | None,
    format: str = "j M Y, H:i",  # noqa: A002
    zone: str | None = None,
) -> dict[str, object]:
    """A moment in `zone` (by default the viewer's) with the exact UTC on hover; None is a dash.

    An include with `only` must pass `user=user`: without a viewer this raises MissingTimeZone, because a time
    in a guessed zone looks right and is wrong.
    """
    if when is None:
        return {"when": None}
    local = timezone.localtime(when, ZoneInfo(zone or _viewer_zone(context)))
    utc = timezone.localtime(when, ZoneInfo("UTC"))
    return {
        "when": utc.isoformat().replace("+00:00", "Z"),
        "local": date_format(local, format),
        "utc": f"{utc:%Y-%m-%d %H:%M:%S} UTC",
    }


@register.inclusion_tag("layout/nav.html", takes_context=True)
def nav(context: Context) -> dict[str, object]:
    """Links to all pages in groups; the link with the longest matching path prefix is marked as current."""
    path = getattr(context.get("request"), "path", "")
    groups = navigation(context.get("request"))
    urls = [link["url"] for _, links in groups for link in links]
    current = max((url for url in urls if path == url or _is_below(path, url)), key=len, default=None)
    return {"groups": groups, "current": current}


def navigation(request: Any) -> list[tuple[str, list[dict[str, str]]]]:
    """The groups of pages that this person may open, as (title, links)."""
    groups = [(title, _links(pages, request)) for title, pages in _NAV]
    return [group for group in groups if group[1]]


def _links(pages: tuple[tuple[str, str, str], ...], request: Any) -> list[dict[str, str]]:
    """Of the pages that exist and that this person may open."""
    return [
        {"label": label, "url": url, "icon": icon}
        for label, name, icon in pages
        if (url := _url(name)) and _may_open(name, request)
    ]


@register.inclusion_tag("layout/banner.html", takes_context=True)
def simulator_banner(context: Context) -> dict[str, object]:
    """Also shown where a page is rendered without a request, as 500.html is."""
    return {"simulator": context.get("simulator", settings.SIMULATOR)}


@register.inclusion_tag("components/mail_notice.html")
def mail_notice() -> dict[str, object]:
    """A notice that mails are printed to the console, if they are."""
    return {"printed": mail_is_printed()}


@register.simple_tag
def mail_is_printed() -> bool:
    return bool(settings.EMAIL_BACKEND == "django.core.mail.backends.console.EmailBackend")


@register.simple_tag(takes_context=True)
def unconfirmed_address(context: Context) -> str:
    """The viewer's address that is not confirmed yet; empty when none is."""
    unconfirmed = EmailAddress.objects.filter(user_id=context["user"].pk, verified=False).order_by("-pk")
    return unconfirmed.values_list("email", flat=True).first() or ""


@register.simple_tag(takes_context=True)
def query(context: Context, **changes: Any) -> str:
    """This page's query string with parameters replaced, or removed by None: `?{% query cursor=None %}`."""
    parameters = context["request"].GET.copy()
    for name, value in changes.items():
        if value is None:
            parameters.pop(name, None)
        else:
            parameters[name] = str(value)
    return str(parameters.urlencode())


def _viewer_zone(context: Context) -> str:
    zone: str | None = getattr(context.get("user"), "time_zone", None)
    if zone is None:
        raise MissingTimeZone("Pass `user=user` to the include, or `zone=` to the tag.")
    return zone


def _url(name: str) -> str:
    try:
        return reverse(name)
    except NoReverseMatch:
        return ""


def _may_open(name: str, request: Any) -> bool:
    """False for pages that would refuse this person."""
    user = getattr(request, "user", None)
    if name == "operator":
        return bool(user and user.is_staff)
    if name == "payment":
        return bool(settings.STRIPE_SECRET_KEY)
    if name == "audit":
        return bool(user and user.is_authenticated and may_change(request))
    return True


def _is_below(path: str, url: str) -> bool:
    return url != "/" and path.startswith(url.rstrip("/") + "/")
