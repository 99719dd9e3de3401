"""Files and services at a real browser: dropped, watched, replaced, renamed, deleted; and added, tested, changed."""

import asyncio
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from appliance.infra.database import Database
from tests.harness.browser import DESK, PHONE, chromium, person
from tests.harness.pages import ADMIN, PASSWORD, hub

DROP = """
(form, name) => {
  const files = new DataTransfer();
  files.items.add(new File(["dropped"], name));
  form.dispatchEvent(new DragEvent("drop", { dataTransfer: files, bubbles: true, cancelable: true }));
}
"""


def serious(page: Page) -> list[str]:
    """Return what keeps people out of the page."""
    found = Axe().run(page).response["violations"]
    return [item["id"] for item in found if item["impact"] in {"serious", "critical"}]


def use_files(url: str, big: Path) -> list[str]:
    """Do what people do with files; return what the browser complained of."""
    with chromium() as browser, person(browser, url, viewport=DESK) as ada:
        ada.sign_in(ADMIN, PASSWORD)
        bring(ada.page, url, big)
        bring_again(ada.page, big)
        drop_twice(ada.page)
        arrange(ada.page, url, big)
        return ada.errors


def bring(page: Page, url: str, big: Path) -> None:
    """Choose a file, watch it come, and fetch it back."""
    page.goto(f"{url}/servers/desk/files")
    expect(page.get_by_text("Nothing is here yet")).to_be_visible()
    page.get_by_label("Bring files").set_input_files(str(big))
    page.get_by_role("button", name="Upload").click()
    expect(page.locator("[data-uploads]")).to_contain_text("sha256:")
    row = page.get_by_role("link", name=big.name)
    expect(row).to_be_visible()
    with page.expect_download() as download:
        row.click()
    assert download.value.path().read_bytes() == big.read_bytes()
    page.get_by_role("button", name=f"SHA-256 of {big.name}").click()
    expect(page.locator("#sum-1")).to_contain_text("sha256:")


def bring_again(page: Page, big: Path) -> None:
    """Choose a large file once more: what would be refused is not sent."""
    page.get_by_label("Bring files").set_input_files(str(big))
    page.get_by_role("button", name="Upload").click()
    expect(page.locator("[data-uploads]")).to_contain_text("of this name already")
    page.get_by_role("button", name="Dismiss").last.click()


def drop_twice(page: Page) -> None:
    """Drop a file, drop it again, and say that it is meant."""
    for _ in range(2):
        page.locator("form[data-upload]").evaluate(DROP, "note.txt")
        expect(page.locator("[data-uploads] li").last).not_to_contain_text("waits")
    expect(page.locator("[data-uploads]")).to_contain_text("already")
    page.get_by_role("button", name="Overwrite").click()
    expect(page.get_by_role("button", name="Overwrite")).to_have_count(0)


def arrange(page: Page, url: str, big: Path) -> None:
    """Rename into a folder that is not there, make one that is, look into it, and delete."""
    page.locator("tr", has_text="note.txt").get_by_role("button", name="Rename").click()
    page.get_by_label("New path below /data").fill("in a folder/new.txt")
    page.get_by_role("dialog").get_by_role("button", name="Rename").click()
    expect(page.get_by_role("link", name="note.txt")).to_have_count(0)
    page.get_by_role("button", name="New folder").click()
    page.get_by_role("dialog").get_by_label("Name").fill("in a folder")
    page.get_by_role("button", name="Make it").click()
    expect(page.get_by_role("alert")).to_contain_text("already")
    page.get_by_role("link", name="in a folder/").click()
    expect(page.get_by_role("heading", level=2).first).to_contain_text("in a folder")
    expect(page.get_by_role("link", name="new.txt")).to_be_visible()
    page.goto(f"{url}/servers/desk/files")
    assert serious(page) == []
    page.get_by_role("button", name=f"Delete {big.name}").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_role("link", name=big.name)).to_have_count(0)


def use_services(url: str) -> list[str]:
    """Do what people do with services; return what the browser complained of."""
    with chromium() as browser, person(browser, url, viewport=PHONE) as ada:
        page = ada.page
        ada.sign_in(ADMIN, PASSWORD)
        page.goto(f"{url}/servers/desk/services")
        page.get_by_role("link", name="Redis").click()
        page.get_by_label("Host").fill("no-such-host.invalid")
        page.get_by_label("Password").fill("canary-of-a-password")
        page.get_by_role("button", name="Add").click()
        expect(page.get_by_text("REDIS_URL")).to_be_visible()
        page.get_by_role("button", name="Test").click()
        expect(page.get_by_text("It does not answer.")).to_be_visible()
        assert serious(page) == []
        page.get_by_role("link", name="Change").click()
        expect(page.get_by_label("Password")).to_have_value("")
        page.get_by_label("Host").fill("cache.example.org")
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_text("cache.example.org").first).to_be_visible()
        assert "canary" not in page.content()
        return ada.errors


async def test_files_and_services_are_used_by_people(
    database: Database, tmp_path: Path
) -> None:
    big = tmp_path / "a big file.bin"
    big.write_bytes(bytes(range(256)) * 40_000)
    async with hub(database, data_dir=tmp_path / "data") as site:
        view = await site.host(await site.sign_in(), "desk")
        await site.run("desk")
        root = site.services.settings.data_dir / "volumes" / str(view.server.id)
        url = str(site.client.make_url("")).rstrip("/")

        complaints = await asyncio.to_thread(use_files, url, big)
        complaints += await asyncio.to_thread(use_services, url)

        assert [item.name for item in root.iterdir()] == ["in a folder"]
        assert [item for item in complaints if "Refused to" in item] == []
        assert [item for item in complaints if "Error:" in item] == []
