"""A headless browser does what a person does: logs in, creates a server, watches the build, calls a tool, deletes it."""

import shutil
import time

from tests.harness.appliance import Appliance
from tests.harness.browser import chromium, person
from tests.proofs.claim import MissingError, hold


def prove() -> None:
    """Do the whole flow in Chromium against a fresh appliance."""
    if shutil.which("chromium") is None:
        raise MissingError(
            "Chromium is not here; install it with: apt-get install chromium"
        )
    with (
        Appliance.temporary() as appliance,
        chromium() as browser,
        person(browser, appliance.url) as ada,
    ):
        started = time.monotonic()
        ada.sign_in(appliance.email, appliance.password)
        key = ada.create("clock", "pypi:mcp-server-time")
        lines = ada.watch_build()
        running_s = time.monotonic() - started
        answer = ada.call("clock", "get_current_time", timezone="Europe/Vienna")
        ada.delete("clock")
        print(
            f"running      {running_s:6.1f} s after signing in, {lines} build lines seen live"
        )
        print(f"answer       {' '.join(answer.split())}")
        print(f"errors       {ada.errors or 'none in the console'}")
        holds = (
            key.startswith("mcps_")
            and lines > 0
            and "Europe/Vienna" in answer
            and not ada.errors
        )
        hold(
            holds,
            f"the flow     {time.monotonic() - started:6.1f} s in all, from signing in to the server gone",
        )
