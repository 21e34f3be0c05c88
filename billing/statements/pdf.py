"""A statement as a PDF, with the numbers of its page.

Written with fpdf2: pure Python apart from Pillow, no system libraries, unlike WeasyPrint, and with tables.
Its built-in fonts know Western European letters; any other letter of a name becomes a question mark.
"""

from collections.abc import Sequence
from zoneinfo import ZoneInfo

from fpdf import FPDF
from fpdf.enums import TableBordersLayout, XPos, YPos
from fpdf.fonts import FontFace

from accounts.models import Account
from billing.statements.queries import Line, StatementDetail
from core.numbers.formats import count, exact_money_text, money_text, provider_name

_FONT = "Helvetica"
_GREY, _HEAD = (96, 103, 120), (243, 244, 247)
_COLUMNS = ("Requests", "Tokens in", "Cached", "Tokens out", "Cost")
_WIDTHS = (38, 12, 14, 12, 12, 12)  # percent
_NOTE = "All amounts in USD, exact to nine decimals. Failed attempts that were not charged are left out."


def as_pdf(detail: StatementDetail, account: Account) -> bytes:
    statement = detail.statement
    zone = ZoneInfo(statement.time_zone)
    pdf = FPDF(format="A4")
    pdf.set_title(_latin(f"Statement {statement.number}"))
    pdf.set_creation_date(statement.made_at)
    pdf.set_auto_page_break(auto=True, margin=18)
    pdf.add_page()
    _text(pdf, f"Statement {statement.number}", 18, bold=True)
    _text(pdf, f"{statement.title}, {account.name}", 11)
    first, last = statement.starts_at.astimezone(zone), statement.last_moment.astimezone(zone)
    _text(pdf, f"{first:%d %B %Y} to {last:%d %B %Y}, whole days in {statement.time_zone}", 9, grey=True)
    created = f"Created {statement.made_at.astimezone(zone):%d %B %Y, %H:%M}. RoutePlex."
    _text(pdf, created, 9, grey=True)
    pdf.ln(4)
    _text(pdf, f"Total {money_text(statement.total_usd)}", 14, bold=True)
    exact = f"exactly {exact_money_text(statement.total_usd)}; {count(statement.requests)} requests"
    if statement.unpriced:
        exact += f", {count(statement.unpriced)} without a price yet"
    _text(pdf, exact, 9, grey=True)
    if statement.corrections_usd:
        used, corrected = money_text(statement.usage_usd), money_text(statement.corrections_usd)
        _text(pdf, f"{used} used, {corrected} corrected", 9, grey=True)
    _lines(pdf, "By model", "Model", detail.models)
    _lines(pdf, "By key", "Key", detail.keys)
    if detail.corrections:
        _heading(pdf, "Corrections of earlier months")
        rows = [(number, money_text(usd)) for number, usd in detail.corrections]
        _table(pdf, ("Statement", "Difference"), rows, (70, 30))
    pdf.ln(5)
    _text(pdf, _NOTE, 8, grey=True)
    return bytes(pdf.output())


def _lines(pdf: FPDF, title: str, column: str, lines: Sequence[Line]) -> None:
    _heading(pdf, title)
    rows = [
        (
            f"{line.name} ({provider_name(line.provider)})" if line.provider else line.name,
            count(line.requests),
            count(line.input_tokens),
            count(line.cached_tokens),
            count(line.output_tokens),
            money_text(line.cost_usd) + (f", {count(line.unpriced)} unpriced" if line.unpriced else ""),
        )
        for line in lines
    ]
    _table(pdf, (column, *_COLUMNS), rows, _WIDTHS)


def _table(pdf: FPDF, heads: Sequence[str], rows: Sequence[Sequence[str]], widths: tuple[int, ...]) -> None:
    """The first column is on the left, figures are on the right; the heads are repeated on each page."""
    pdf.set_font(_FONT, size=9)
    pdf.set_draw_color(220)
    with pdf.table(
        [[_latin(text) for text in row] for row in (heads, *rows)],
        borders_layout=TableBordersLayout.HORIZONTAL_LINES,
        headings_style=FontFace(emphasis="B", fill_color=_HEAD),
        text_align=("LEFT", *["RIGHT"] * (len(heads) - 1)),
        col_widths=widths,
        line_height=6,
    ):
        pass


def _heading(pdf: FPDF, title: str) -> None:
    pdf.ln(6)
    _text(pdf, title, 11, bold=True)
    pdf.ln(1)


def _text(pdf: FPDF, text: str, size: int, *, bold: bool = False, grey: bool = False) -> None:
    pdf.set_font(_FONT, style="B" if bold else "", size=size)
    pdf.set_text_color(*(_GREY if grey else (0, 0, 0)))
    pdf.multi_cell(0, size * 0.55, _latin(text), new_x=XPos.LMARGIN, new_y=YPos.NEXT)
    pdf.set_text_color(0, 0, 0)


def _latin(text: str) -> str:
    return text.encode("latin-1", "replace").decode("latin-1")
