"""What a person does, in a real browser against a whole appliance."""

from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, expect

from tests.harness.appliance import Appliance
from tests.harness.browser import DESK, PHONE, Person, chromium, person

PAGES = (
    "/servers",
    "/servers/new",
    "/servers/browsed",
    "/servers/browsed/tools",
    "/servers/browsed/build",
    "/servers/browsed/logs",
    "/servers/browsed/connect",
    "/servers/browsed/deployments",
    "/servers/browsed/invocations",
    "/servers/browsed/manifest",
    "/servers/browsed/config",
    "/marketplace",
    "/activity/jobs",
    "/activity/audit",
    "/settings/keys",
    "/settings/sessions",
    "/settings/people",
    "/health",
    "/patterns",
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def browsed(appliance: Appliance) -> Iterator[None]:
    """A running server to look at."""
    created = appliance.create("browsed", package="pypi:mcp-server-time")
    appliance.wait_running(created)
    yield
    appliance.delete(created.id)


@pytest.fixture
def ada(browser: Browser, appliance: Appliance) -> Iterator[Person]:
    with person(browser, appliance.url) as somebody:
        somebody.sign_in(appliance.email, appliance.password)
        yield somebody
        assert somebody.errors == []


def test_a_person_creates_watches_calls_and_deletes(ada: Person) -> None:
    key = ada.create("clock", "pypi:mcp-server-time")
    lines = ada.watch_build()
    answer = ada.call("clock", "get_current_time", timezone="Europe/Vienna")
    ada.delete("clock")

    assert key.startswith("mcps_")
    assert lines > 3
    assert "Europe/Vienna" in answer
    assert "Succeeded" in answer


def test_a_package_that_does_not_exist_ends_in_a_reason(ada: Person) -> None:
    ada.create("nowhere", "pypi:mcp-server-that-nobody-published")
    ada.page.get_by_role("link", name="Watch the build").click()

    expect(ada.status()).to_have_text("Error", timeout=300_000)

    expect(ada.page.locator("#server-head .notice")).to_contain_text(
        "mcp-server-that-nobody-published"
    )
    ada.delete("nowhere")


@pytest.mark.usefixtures("browsed")
def test_the_list_changes_live_and_leaves_focus_where_it_is(
    ada: Person, appliance: Appliance
) -> None:
    ada.page.goto(f"{appliance.url}/servers")
    row = ada.page.get_by_role("row", name="browsed")
    expect(row).to_contain_text("Running")
    ada.page.get_by_role("link", name="browsed", exact=True).focus()

    appliance.api("POST", "/api/servers/browsed/stop")
    expect(row).to_contain_text("Stopped", timeout=30_000)

    expect(ada.page.get_by_role("link", name="browsed", exact=True)).to_be_focused()
    appliance.api("POST", "/api/servers/browsed/start")
    expect(row).to_contain_text("Running", timeout=60_000)


@pytest.mark.usefixtures("browsed")
def test_what_is_typed_into_a_tool_outlives_a_change_of_status(
    ada: Person, appliance: Appliance
) -> None:
    ada.page.goto(f"{appliance.url}/servers/browsed/tools")
    ada.page.locator("details.tool summary").first.click()
    box = ada.page.get_by_label("timezone").first
    box.fill("Asia/Tokyo")

    appliance.api("POST", "/api/servers/browsed/stop")
    expect(ada.status()).to_have_text("Stopped", timeout=30_000)
    appliance.api("POST", "/api/servers/browsed/start")
    expect(ada.status()).to_have_text("Running", timeout=60_000)

    expect(box).to_be_visible()
    expect(box).to_have_value("Asia/Tokyo")


@pytest.mark.usefixtures("browsed")
def test_the_filter_changes_the_list_and_the_address(
    ada: Person, appliance: Appliance
) -> None:
    ada.page.goto(f"{appliance.url}/servers")

    ada.page.get_by_role("searchbox", name="Part of the name").fill("nothing-like-it")
    expect(ada.page.get_by_role("heading", name="No server matches")).to_be_visible()

    assert ada.page.url.endswith("/servers?q=nothing-like-it")


@pytest.mark.usefixtures("browsed")
def test_live_changes_keep_to_the_filter(ada: Person, appliance: Appliance) -> None:
    ada.page.goto(f"{appliance.url}/servers")
    ada.page.get_by_role("combobox", name="Status").select_option("Stopped")
    expect(ada.page.get_by_role("heading", name="No server matches")).to_be_visible()

    appliance.api("POST", "/api/servers/browsed/stop")
    expect(ada.page.get_by_role("row", name="browsed")).to_contain_text(
        "Stopped", timeout=30_000
    )
    appliance.api("POST", "/api/servers/browsed/start")

    expect(ada.page.get_by_role("heading", name="No server matches")).to_be_visible(
        timeout=60_000
    )


@pytest.mark.usefixtures("browsed")
def test_the_keyboard_alone_reaches_everything(
    ada: Person, appliance: Appliance
) -> None:
    ada.page.goto(f"{appliance.url}/servers")
    keyboard = ada.page.keyboard

    keyboard.press("Tab")
    expect(ada.page.get_by_role("link", name="Skip to the content")).to_be_focused()
    keyboard.press("/")
    expect(ada.page.get_by_role("combobox", name="Search servers")).to_be_focused()
    keyboard.type("brows")
    expect(ada.page.get_by_role("dialog").get_by_role("option").first).to_contain_text(
        "browsed"
    )
    keyboard.press("Enter")

    ada.page.wait_for_url("**/servers/browsed")
    ada.page.get_by_role("button", name="Delete").focus()
    keyboard.press("Enter")
    expect(ada.page.get_by_role("dialog", name="Delete browsed?")).to_be_visible()
    keyboard.press("Escape")
    expect(ada.page.get_by_role("button", name="Delete")).to_be_focused()


def test_the_theme_is_kept(ada: Person, appliance: Appliance) -> None:
    ada.page.goto(f"{appliance.url}/health")
    ada.page.locator("details.menu summary").click()
    ada.page.get_by_role("button", name="Dark").click()
    ada.page.reload()

    assert ada.page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert (
        ada.page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        == "rgb(15, 15, 19)"
    )


@pytest.mark.usefixtures("browsed")
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_nothing_serious(
    browser: Browser, appliance: Appliance, *, dark: bool
) -> None:
    found: dict[str, list[str]] = {}
    with person(browser, appliance.url, dark=dark) as reader:
        for path in ("/", "/login", "/register"):
            reader.page.goto(appliance.url + path)
            found[path] = serious(reader)
        reader.sign_in(appliance.email, appliance.password)
        for path in PAGES:
            reader.page.goto(appliance.url + path)
            found[path] = serious(reader)

    assert {path: problems for path, problems in found.items() if problems} == {}


def serious(reader: Person) -> list[str]:
    results = Axe().run(reader.page).response
    return [
        f"{item['id']}: {node['target']} {node['failureSummary']}"
        for item in results["violations"]
        if item["impact"] in {"serious", "critical"}
        for node in item["nodes"]
    ]


@pytest.mark.usefixtures("browsed")
@pytest.mark.parametrize(
    "width", [PHONE["width"], DESK["width"] // 2], ids=["phone", "zoom-200"]
)
def test_nothing_is_wider_than_the_window(
    browser: Browser, appliance: Appliance, width: int
) -> None:
    with person(
        browser, appliance.url, viewport={"width": width, "height": 780}
    ) as reader:
        reader.sign_in(appliance.email, appliance.password)
        wider = []
        for path in PAGES:
            reader.page.goto(appliance.url + path)
            if reader.page.evaluate(
                "document.documentElement.scrollWidth > innerWidth"
            ):
                wider.append(path)

    assert wider == []


@pytest.mark.usefixtures("browsed")
def test_a_log_can_be_searched_and_paused(ada: Person, appliance: Appliance) -> None:
    ada.page.goto(f"{appliance.url}/servers/browsed/build")
    lines = ada.page.locator("#build-log .line")
    expect(lines.first).to_be_visible()
    everything = lines.count()

    ada.page.get_by_role("searchbox", name="Find in this log").fill("mcp-server-time")
    expect(ada.page.locator("[data-log-count]")).to_contain_text(
        f"of {everything} lines"
    )
    assert 0 < lines.filter(visible=True).count() < everything

    ada.page.get_by_role("searchbox", name="Find in this log").fill("")
    ada.page.get_by_role("button", name="Pause").click()
    appliance.api("POST", "/api/servers/browsed/redeploy")
    expect(ada.page.locator("[data-log-count]")).to_contain_text("new", timeout=60_000)
    expect(ada.page.locator("#build-head")).to_contain_text("deployment #2")
    expect(ada.page.locator("#build-head .badge").first).to_have_text(
        "Succeeded", timeout=120_000
    )
    expect(ada.status()).to_have_text("Running", timeout=60_000)
    ada.page.get_by_role("button", name="Go on").click()
    expect(ada.page.locator("#build-log")).to_contain_text("mcp-server-time")


@pytest.mark.usefixtures("browsed")
def test_a_page_goes_on_after_the_hub_was_killed(
    ada: Person, appliance: Appliance
) -> None:
    ada.page.goto(f"{appliance.url}/servers/browsed")
    expect(ada.status()).to_have_text("Running", timeout=60_000)

    appliance.kill("hub")
    appliance.up()
    appliance.api("POST", "/api/servers/browsed/stop")
    expect(ada.status()).to_have_text("Stopped", timeout=60_000)
    appliance.api("POST", "/api/servers/browsed/start")
    expect(ada.status()).to_have_text("Running", timeout=60_000)

    # The browser tells of every connection that it could not make meanwhile; nothing else may be among them.
    expected = ("net::ERR_", "network error", "Failed to fetch")
    ada.errors = [
        error for error in ada.errors if not any(words in error for words in expected)
    ]
