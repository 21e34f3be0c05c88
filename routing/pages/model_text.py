"""A model's Markdown as HTML that is safe to show: without raw HTML, links and images."""

from functools import cache

from markdown_it import MarkdownIt


def safe_html(text: str) -> str:
    html: str = _renderer().render(text.strip())
    return html


@cache
def _renderer() -> MarkdownIt:
    markdown = MarkdownIt("commonmark", {"html": False})
    return markdown.enable("table").disable(
        ["link", "image", "autolink", "reference", "html_inline", "html_block"]
    )
