"""A statement's PDF, downloaded in a real browser."""

from pathlib import Path

from playwright.sync_api import Page, expect
from pypdf import PdfReader

from tests.journeys.conftest import sign_in
from tests.site_map import furnish


def test_a_statement_is_downloaded_as_a_pdf(person: Page, server: str, tmp_path: Path) -> None:
    furnished = furnish(server)
    sign_in(person.context, furnished, server)
    number = furnished.objects["statement"]
    person.goto(f"{server}/statements/")
    person.get_by_role("link", name=number).click()
    expect(person.get_by_role("heading", name=f"Statement {number}", level=1)).to_be_visible()
    with person.expect_download() as download:
        person.get_by_role("link", name="PDF").click()
    path = tmp_path / download.value.suggested_filename
    download.value.save_as(path)
    assert path.name == f"statement-{number}.pdf"
    assert "$12.345678901" in PdfReader(path).pages[0].extract_text()
