"""Settings in a real browser: defaults of an account, stored prompts, the export, and deletion."""

import json
import zipfile

import httpx
from playwright.sync_api import Locator, Page, expect

from tests.journeys.test_first_request import PASSWORD, make_key, run_curl, sign_up


def confirm(dialog: Locator, verb: str) -> None:
    """Type the name that the dialog shows, and confirm."""
    dialog.get_by_role("textbox").fill(dialog.locator("strong.mono").inner_text())
    dialog.get_by_role("button", name=verb).click()


def test_stored_prompts_are_shown_exported_and_deleted(person: Page, server: str) -> None:
    sign_up(person, server, "stored.prompts@journeys.example")
    command = make_key(person)
    person.goto(f"{server}/settings/")
    person.get_by_label("Default strategy").select_option("quality")
    person.get_by_label("Store prompts and answers").check()
    person.get_by_role("button", name="Save account").click()
    expect(person.get_by_text("saved", exact=False).first).to_be_visible()
    person.reload()
    expect(person.get_by_label("Default strategy")).to_have_value("quality")
    expect(person.get_by_label("Store prompts and answers")).to_be_checked()

    data = run_curl(command).json()["data"]
    page = f"{server}/requests/{data['id']}"
    fold = person.locator("summary", has_text="Prompt and answer")
    stored = person.get_by_role("region", name="Answer", exact=True)
    for _ in range(60):  # texts are written a second after the answer
        person.goto(page)
        if fold.count():
            break
        person.wait_for_timeout(500)
    fold.click()
    expect(stored).to_have_text(data["output"])

    person.goto(f"{server}/settings/")
    with person.expect_download() as download:
        person.get_by_role("link", name="Export").click()
    with zipfile.ZipFile(download.value.path()) as archive:
        texts = [archive.read(name).decode() for name in archive.namelist()]
    assert any(data["id"] in text for text in texts)
    assert any(json.dumps(data["output"])[1:-1] in text for text in texts)

    person.get_by_role("link", name="Delete prompts and answers").click()
    confirm(person.get_by_role("dialog"), "Delete prompts and answers")
    expect(person.get_by_text("were deleted")).to_be_visible()
    person.goto(page)
    expect(person.get_by_role("heading", name="Details")).to_be_visible()
    expect(fold).to_have_count(0)


def test_a_deleted_account_is_gone_with_its_keys_and_its_person(
    person: Page, server: str, complaints: list[str]
) -> None:
    email = "leaves@journeys.example"
    sign_up(person, server, email)
    make_key(person)
    secret = person.locator("#new-key").inner_text()
    person.goto(f"{server}/settings/")
    person.get_by_role("link", name="Delete account").click()
    dialog = person.get_by_role("dialog")
    dialog.get_by_role("textbox").fill("another name")
    dialog.get_by_role("button", name="Delete account").click()
    expect(person.get_by_text("That is not the name")).to_be_visible()
    assert [complaint for complaint in complaints if "status of 422" not in complaint] == []
    complaints.clear()  # the browser reports every answer that is not a success
    confirm(person.get_by_role("main"), "Delete account")
    expect(person.get_by_text("The account is deleted.")).to_be_visible()

    body = {"messages": [{"role": "user", "content": "Hello"}]}
    bearer = {"Authorization": f"Bearer {secret}"}
    assert httpx.post(f"{server}/api/v1/chat", json=body, headers=bearer, timeout=30).status_code == 401
    person.goto(f"{server}/accounts/login/")
    person.get_by_label("Email").fill(email)
    person.get_by_label("Password").fill(PASSWORD)
    person.get_by_role("button", name="Sign in").click()
    expect(person.get_by_text("not correct")).to_be_visible()
