"""A person at a real Chromium: what they do on the pages, and what must not happen meanwhile."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from playwright.sync_api import (
    Browser,
    ConsoleMessage,
    Locator,
    Page,
    Request,
    ViewportSize,
    expect,
    sync_playwright,
)

PHONE = ViewportSize(width=360, height=780)
DESK = ViewportSize(width=1280, height=860)
#: The first build of a box makes its base image.
BUILD_MS = 420_000
#: What a browser says when a page with an open stream is left.
_LEFT = "net::ERR_ABORTED"
#: Chromium breaks off what it is doing when an interface of the box comes or goes, and every server that starts is one.
_NETWORK_CHANGED = "net::ERR_NETWORK_CHANGED"


@dataclass
class Person:
    """Somebody who uses the pages of one hub."""

    page: Page
    url: str
    #: Errors that the browser reported: a blocked script or style is one.
    errors: list[str] = field(default_factory=list)

    def note_console(self, message: ConsoleMessage) -> None:
        """Remember what the browser complains of."""
        if message.type == "error" and _NETWORK_CHANGED not in message.text:
            self.errors.append(message.text)

    def note_failure(self, request: Request) -> None:
        """Remember a request that failed, unless it was a stream of a page that was left."""
        if request.failure not in {_LEFT, _NETWORK_CHANGED}:
            self.errors.append(f"{request.url}: {request.failure}")

    def sign_in(self, email: str, password: str) -> None:
        """Come in by the front door."""
        self.page.goto(f"{self.url}/login")
        self.page.get_by_label("E-mail").fill(email)
        self.page.get_by_label("Password").fill(password)
        self.page.get_by_role("button", name="Sign in").click()
        self.page.wait_for_url("**/servers")

    def create(self, name: str, package: str) -> str:
        """Ask for a server from a package and return its key."""
        self.page.goto(f"{self.url}/servers")
        self.page.get_by_role("link", name="New server").first.click()
        self.page.get_by_label("Package", exact=True).last.fill(package)
        self.page.locator("#field-name").fill(name)
        self.page.get_by_role("button", name="Create server").click()
        return self.page.locator("#endpoint-key").inner_text()

    def watch_build(self) -> int:
        """Watch the build of a server that was just created until it runs; return how many lines the log showed."""
        self.page.get_by_role("link", name="Watch the build").click()
        expect(self.status()).to_have_text("Running", timeout=BUILD_MS)
        return self.page.locator("#build-log .line").count()

    def status(self) -> Locator:
        """Return where a server's page says how it is."""
        return self.page.locator("#server-status .badge")

    def call(self, server: str, tool: str, **arguments: str) -> str:
        """Call a tool by its form and return the answer's text."""
        self.page.goto(f"{self.url}/servers/{server}/tools")
        form = self.page.locator(
            "details.tool", has=self.page.locator("summary code", has_text=tool)
        ).first
        form.locator("summary").click()
        for name, value in arguments.items():
            form.get_by_label(name).fill(value)
        form.get_by_role("button", name=f"Call {tool}").click()
        answer = form.locator(".answer")
        expect(answer).not_to_be_empty(timeout=30_000)
        return answer.inner_text()

    def delete(self, server: str) -> None:
        """Delete a server, and stay on the list until it is gone by itself."""
        self.page.goto(f"{self.url}/servers/{server}")
        self.page.get_by_role("button", name="Delete").click()
        dialog = self.page.get_by_role("dialog", name=f"Delete {server}?")
        dialog.get_by_role("button", name="Delete").click()
        self.page.wait_for_url("**/servers")
        expect(self.page.get_by_role("link", name=server, exact=True)).to_have_count(
            0, timeout=60_000
        )


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start the system's Chromium."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium") or "/usr/bin/chromium",
            args=["--no-sandbox"],
        )
        yield browser
        browser.close()


@contextmanager
def person(
    browser: Browser, url: str, *, viewport: ViewportSize = DESK, dark: bool = False
) -> Iterator[Person]:
    """Give somebody a window of their own."""
    context = browser.new_context(
        viewport=viewport, color_scheme="dark" if dark else "light"
    )
    found = Person(context.new_page(), url)
    found.page.on("console", found.note_console)
    found.page.on("pageerror", lambda error: found.errors.append(str(error)))
    found.page.on("requestfailed", found.note_failure)
    yield found
    context.close()
