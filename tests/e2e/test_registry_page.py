"""An administrator and the registry's credentials, in a real browser before a whole appliance and a real registry."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.harness.appliance import Appliance
from tests.harness.browser import chromium, person
from tests.harness.registry import Registry, registry

#: The page looks again every other second; the box may be busy.
SEEN_MS = 20_000


@dataclass
class Box:
    """An appliance, the registry it pushes to, and what its refresh command brings."""

    appliance: Appliance
    registry: Registry
    fresh: Path


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    """An appliance that was given a wrong password, and a command that knows the right one."""
    home = tmp_path_factory.mktemp("registry")
    config, fresh = home / "config.json", home / "fresh.json"
    with registry("htpasswd") as running:
        wrong = {"username": running.username, "password": "not the one"}
        config.write_text(json.dumps({"auths": {running.host: wrong}}))
        fresh.write_text(json.dumps(running.docker_config()))
        with Appliance.temporary(
            gw_workers=1,
            registry=f"{running.host}/team",
            registry_auth_dockerconfig=config,
            registry_auth_refresh_command=json.dumps(["/bin/cat", str(fresh)]),
        ) as appliance:
            yield Box(appliance, running, fresh)


def test_refused_credentials_are_replaced_and_the_page_says_so(box: Box) -> None:
    with chromium() as browser, person(browser, box.appliance.url) as admin:
        admin.sign_in(box.appliance.email, box.appliance.password)
        admin.page.get_by_role("link", name="Registry").click()
        state = admin.page.locator("#registry-state")

        # The first look of the clock found them refused, and rotated.
        expect(state).to_contain_text("Healthy", timeout=SEEN_MS)
        rotations = state.locator("[id^=rotation-]")
        expect(rotations).to_have_count(1, timeout=SEEN_MS)
        admin.page.get_by_role("button", name="Rotate now").click()
        expect(rotations).to_have_count(2, timeout=SEEN_MS)
        box.fresh.write_text("{}")
        admin.page.get_by_role("button", name="Rotate now").click()
        expect(rotations.first).to_contain_text("has no entry for", timeout=SEEN_MS)

        expect(state).to_contain_text("Healthy")
        found = Axe().run(admin.page).response["violations"]
        assert [item["id"] for item in found] == []
        assert admin.errors == []
        logs = "".join(item.read_text() for item in box.appliance.home.rglob("*.log"))
        assert "auth_rotation_succeeded" in logs
        assert "not the one" not in logs
        assert box.registry.password not in logs
