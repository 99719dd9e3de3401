"""Pictures of every page in light, dark and phone width, to be looked at.

    python -m tests.e2e.screenshots --url http://127.0.0.1:3000 --email ada@example.org --out DIR [--server NAME]

The password is read from standard input. Pages of a server are those of ``--server``, else of the first one listed.
"""

import argparse
import sys
from pathlib import Path

from tests.harness.browser import DESK, PHONE, Person, chromium, person

OUTSIDE = ("/", "/login", "/register")
INSIDE = (
    "/servers",
    "/servers/new",
    "/marketplace",
    "/evaluations",
    "/domains",
    "/servers/new?catalog=notion",
    "/alerts",
    "/activity/jobs",
    "/activity/audit",
    "/settings/keys",
    "/settings/sessions",
    "/settings/totp",
    "/settings/people",
    "/backups",
    "/doctor",
    "/registry",
    "/settings/front-door",
    "/settings/certificates",
    "/health",
    "/patterns",
    "/no-such-page",
)
TABS = (
    "",
    "/tools",
    "/review",
    "/manifest",
    "/build",
    "/logs",
    "/logs/history",
    "/metrics",
    "/health",
    "/invocations",
    "/connect",
    "/domains",
    "/deployments",
    "/config",
    "/webhook",
    "/secrets",
    "/isolation",
    "/dockerfile",
    "/files",
    "/services",
    "/services?add=postgres",
    "/evaluations",
    "/evaluations/test",
    "/evaluations/suite",
)
#: Milliseconds in which fonts and the first live message arrive.
SETTLE_MS = 500


def main() -> int:
    """Take all pictures."""
    parser = argparse.ArgumentParser(prog="python -m tests.e2e.screenshots")
    parser.add_argument("--url", required=True)
    parser.add_argument("--email", required=True)
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--server", default="")
    chosen = parser.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    password = sys.stdin.readline().strip()
    with chromium() as browser:
        for look, viewport, dark in (
            ("light", DESK, False),
            ("dark", DESK, True),
            ("phone", PHONE, False),
        ):
            with person(
                browser, chosen.url.rstrip("/"), viewport=viewport, dark=dark
            ) as reader:
                for path in OUTSIDE:
                    _shoot(reader, path, chosen.out, look)
                reader.sign_in(chosen.email, password)
                for path in (*INSIDE, *_tabs(reader, chosen.server)):
                    _shoot(reader, path, chosen.out, look)
    return 0


def _tabs(reader: Person, server: str) -> list[str]:
    reader.page.goto(f"{reader.url}/servers")
    first = reader.page.locator("#server-list a.row").first
    if not server and not first.count():
        return []
    base = f"/servers/{server}" if server else first.get_attribute("href")
    return [f"{base}{tab}" for tab in TABS]


def _shoot(reader: Person, path: str, out: Path, look: str) -> None:
    reader.page.goto(reader.url + path)
    reader.page.wait_for_timeout(SETTLE_MS)
    name = path.strip("/").replace("/", "-") or "start"
    reader.page.screenshot(path=out / f"{name}-{look}.png", full_page=True)


if __name__ == "__main__":
    sys.exit(main())
