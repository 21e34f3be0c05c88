"""The main job in a real browser: sign up, make a key, send the shown code, see why that model answered."""

import re
import shlex
import subprocess
import sys

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

PASSWORD = "correct-horse-battery-9"


def sign_up(page: Page, server: str, email: str) -> None:
    page.goto(server)
    page.get_by_role("link", name="Create an account").click()
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password").first.fill(PASSWORD)
    page.get_by_role("button", name="Create account").or_(page.get_by_role("button", name="Sign up")).click()
    expect(page.get_by_role("heading", name="Send your first request")).to_be_visible()


def make_key(page: Page) -> str:
    """Click for a key; returns the curl command that has it filled in."""
    page.get_by_role("button", name="Create key").click()
    expect(page.locator("#new-key")).to_have_text(re.compile(r"^rp_live_\w{49}$"))
    return page.locator("#code-curl").inner_text()


def run_curl(command: str) -> httpx.Response:
    """Send the request of the curl command on the page."""
    words = shlex.split(command.replace("\\\n", " "))
    assert words[0] == "curl"
    flags = list(zip(words[2::2], words[3::2], strict=True))
    headers = dict(value.split(": ", 1) for flag, value in flags if flag == "-H")
    (body,) = (value for flag, value in flags if flag == "-d")
    return httpx.post(words[1], headers=headers, content=body, timeout=30)


def test_sign_up_key_first_request_and_its_page(person: Page, server: str) -> None:
    sign_up(person, server, "first.request@journeys.example")
    person.get_by_role("link", name="Home").click()
    expect(person.get_by_role("heading", name="Welcome to RoutePlex")).to_be_visible()
    person.get_by_role("link", name="Send your first request").click()
    expect(person.get_by_text("Waiting for your first request…")).to_be_visible()

    answer = run_curl(make_key(person))
    secret = person.locator("#new-key").inner_text()
    assert answer.status_code == 200, answer.text
    assert answer.json()["data"]["output"]

    person.get_by_role("link", name="See why that model").click()
    data = answer.json()["data"]
    expect(person.get_by_text(data["routing"]["reason"], exact=True)).to_be_visible()
    expect(person.get_by_role("img", name="Candidates by expected cost")).to_be_visible()
    assert data["id"] in person.url
    assert data["model_used"] in person.content()
    assert f"${data['usage']['cost_usd']:.9f}".rstrip("0") in person.content()

    person.goto(f"{server}/start")
    assert secret not in person.content()


def test_a_first_request_without_a_terminal(person: Page, server: str) -> None:
    sign_up(person, server, "try.it.here@journeys.example")
    person.get_by_label("Try it here").press("Enter")
    expect(person.locator("[data-answer]")).to_have_text("The capital of France is Paris.")
    expect(person.locator("[data-decision]")).to_contain_text("chance of a good answer")
    expect(person.get_by_text("Your request has arrived.")).to_be_visible()
    person.get_by_role("link", name="Open the request").click()
    expect(person.get_by_text("from the playground")).to_be_visible()


@pytest.mark.parametrize("width", [390, 1280])
def test_a_visitor_reads_models_plans_and_changes(browser: Browser, server: str, width: int) -> None:
    context = browser.new_context(viewport={"width": width, "height": 900})
    page = context.new_page()
    page.goto(server)
    expect(page.get_by_role("figure", name="Example of a request's page")).to_be_visible()
    for link, heading in (
        ("Models", "Models and prices"),
        ("Pricing", "Pricing"),
        ("Changelog", "Changelog"),
    ):
        page.get_by_role("navigation", name="More").get_by_role("link", name=link).click()
        expect(page.get_by_role("heading", name=heading, level=1)).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    context.close()


def test_the_shown_python_runs_as_it_is(person: Page, server: str) -> None:
    sign_up(person, server, "snippets@journeys.example")
    make_key(person)
    for client in ("routeplex", "openai"):
        code = person.locator(f"#code-{client}").text_content()
        assert code
        ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
        assert ran.returncode == 0, ran.stderr
        assert ran.stdout.strip()
    expect(person.get_by_role("link", name="See why that model")).to_be_visible()


def test_the_list_is_live(person: Page, server: str) -> None:
    sign_up(person, server, "live.tail@journeys.example")
    command = make_key(person)
    person.goto(f"{server}/requests/")
    expect(person.get_by_text("No requests yet")).to_be_visible()
    first = run_curl(command).json()["data"]["id"]
    expect(person.locator(f"#row-{first}")).to_be_visible()
    expect(person.get_by_text("No requests yet")).to_be_hidden()

    person.get_by_role("link", name="Pause").click()
    expect(person.get_by_role("link", name="Resume live")).to_be_visible()
    second = run_curl(command).json()["data"]["id"]
    person.get_by_role("link", name="Resume live").click()
    expect(person.locator(f"#row-{second}")).to_be_visible()

    person.get_by_label("Status", exact=True).select_option("failed")
    expect(person.get_by_text("No request matches")).to_be_visible()
    assert person.url.endswith("/requests/?status=failed")
    person.get_by_role("link", name="Remove filter status: failed").click()
    expect(person.locator(f"#row-{second}")).to_be_visible()
    person.wait_for_load_state()
    person.keyboard.press("j")
    person.keyboard.press("Enter")
    expect(person.get_by_text("When would another model win?")).to_be_visible()
    assert second in person.url


def test_pages_read_without_script(browser: Browser, person: Page, server: str) -> None:
    sign_up(person, server, "no.script@journeys.example")
    state = person.context.storage_state()
    context = browser.new_context(java_script_enabled=False, storage_state=state)
    page = context.new_page()
    page.goto(f"{server}/start")
    command = make_key(page)
    for snippet in ("curl", "routeplex", "openai", "javascript"):
        expect(page.locator(f"#code-{snippet}")).to_be_visible()
    answer = run_curl(command)
    page.goto(f"{server}/requests/?status=succeeded")
    expect(page.locator(f"#row-{answer.json()['data']['id']}")).to_be_visible()
    page.get_by_role("button", name="Apply").click()
    page.locator("#rows a").first.click()
    expect(page.get_by_text("When would another model win?")).to_be_visible()
    page.goto(f"{server}/models/")
    page.get_by_role("region", name="Models").get_by_role("link").nth(6).click()
    expect(page.get_by_role("heading", name="Chance of a good answer by skill")).to_be_visible()
    context.close()
