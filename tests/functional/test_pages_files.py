"""The tabs of files and services, as browsers ask for them."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from appliance.infra.database import Database
from tests.harness.pages import Hub, hub


@pytest.fixture
async def site(database: Database, tmp_path: Path) -> AsyncIterator[Hub]:
    async with hub(database, data_dir=tmp_path / "data") as running:
        yield running


async def _desk(site: Hub) -> Path:
    """Return the folder that stands for /data of a server that runs."""
    view = await site.host(await site.sign_in(), "desk")
    await site.run("desk")
    root = site.services.settings.data_dir / "volumes" / str(view.server.id)
    await asyncio.to_thread(root.mkdir, parents=True)
    return root


async def test_a_folder_is_shown_with_what_can_be_done(site: Hub) -> None:
    root = await _desk(site)
    (root / "in").mkdir()
    (root / "in" / "a <b>.txt").write_text("hello")
    (root / "in" / "link").symlink_to("/etc/passwd")

    empty_words = "Nothing is here yet"
    top = await site.page("/servers/desk/files")
    inner = await site.page("/servers/desk/files?path=in")

    assert 'href="/servers/desk/files?path=in"' in top
    assert "a &lt;b&gt;.txt" in inner
    assert 'href="/api/servers/desk/files/in/a%20%3Cb%3E.txt"' in inner
    assert "link to /etc/passwd, never followed" in inner
    assert 'data-upload="/api/servers/desk/files/in/"' in inner
    assert empty_words not in top + inner


async def test_a_form_without_a_script_brings_makes_moves_and_removes(
    site: Hub,
) -> None:
    root = await _desk(site)
    empty = await site.page("/servers/desk/files")

    made = await site.post("/servers/desk/files/folder", folder="", name="in")
    taken = await site.post("/servers/desk/files/folder", folder="", name="in")
    (root / "in" / "file").write_text("x")
    moved = await site.post("/servers/desk/files/move", file="in/file", to="in/new")
    names = sorted(item.name for item in (root / "in").iterdir())
    gone = await site.post("/servers/desk/files/remove", file="in")

    assert "Nothing is here yet" in empty
    assert (made.status, moved.status, gone.status) == (303, 303, 303)
    assert made.headers["Location"] == "/servers/desk/files?path="
    assert taken.status == 409
    assert "There is a in already" in await taken.text()
    assert names == ["new"]
    assert not (root / "in").exists()


async def test_a_checksum_is_shown_when_it_is_asked_for(site: Hub) -> None:
    root = await _desk(site)
    (root / "file").write_text("hello")

    shown = await site.page("/servers/desk/files/checksum?path=file")
    missing = await site.page("/servers/desk/files/checksum?path=none")

    assert "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824" in shown
    assert "There is no none." in missing


async def test_a_server_that_was_not_built_says_why_it_has_no_files(site: Hub) -> None:
    await site.host(await site.sign_in(), "new")

    shown = await site.page("/servers/new/files")

    assert "was not built" in shown
    assert "data-upload" not in shown


async def test_a_service_is_added_changed_tested_and_removed(site: Hub) -> None:
    await _desk(site)
    empty = await site.page("/servers/desk/services")
    form = await site.page("/servers/desk/services?add=postgres")

    wrong = await site.post(
        "/servers/desk/services", kind="postgres", host="localhost", password="canary-1"
    )
    added = await site.post(
        "/servers/desk/services",
        kind="postgres",
        host="169.254.169.254",
        username="app",
        database="main",
        ssl_mode="prefer",
        password="canary-1",
    )
    shown = await site.page("/servers/desk/services")
    changing = await site.page("/servers/desk/services?edit=1")
    tested = await site.post("/servers/desk/services/1/test")
    changed = await site.post(
        "/servers/desk/services",
        kind="postgres",
        service="1",
        host="db",
        username="app",
        database="main",
        ssl_mode="prefer",
    )
    after = await site.page("/servers/desk/services")
    gone = await site.post("/servers/desk/services/1/remove")

    assert "No services yet" in empty
    assert "S3 bucket" in empty
    assert 'name="database"' in form
    told = await wrong.text()
    assert wrong.status == 422
    assert "own container" in told
    assert (added.status, changed.status, gone.status) == (303, 303, 303)
    assert "DATABASE_URL" in shown
    assert 'value="169.254.169.254"' in changing
    assert "metadata" in await tested.text() or "credentials" in await tested.text()
    assert "<code>db</code>" in after
    assert "canary-1" not in told + shown + changing + after


async def test_custom_variables_are_typed_one_a_line(site: Hub) -> None:
    await _desk(site)

    wrong = await site.post(
        "/servers/desk/services", kind="custom", variables="A=1\nB-C=canary-2"
    )
    added = await site.post(
        "/servers/desk/services", kind="custom", name="mail", variables="A=canary-2\n"
    )
    editing = await site.page("/servers/desk/services?edit=1")

    told = await wrong.text()
    assert wrong.status == 422
    assert "B-C use letters" in told
    assert added.status == 303
    assert ">A=</textarea>" in editing
    assert "canary-2" not in told + editing
