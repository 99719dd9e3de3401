"""A governed launch in browsers: three people, each at a window of their own, who click what is there to be clicked."""

import re
from contextlib import ExitStack

from playwright.sync_api import Browser, Locator, Page, expect

from tests.harness.appliance import Appliance, Created
from tests.harness.browser import Person, person
from tests.harness.governed_launch.callers import TOOL
from tests.harness.governed_launch.people import Someone
from tests.harness.governed_launch.story import REVIEW, SMOKE, STAGES

PATIENCE_MS = 60_000


class Windows:
    """What people do on the pages.

    Args:
        appliance: Whose pages they are; it tells numbers that pages do not show.
        browser: In which every person gets a window.
        stack: Closes the windows.
        people: Who makes policies, whose servers they are, and who approves.
    """

    name = "browser"

    def __init__(
        self,
        appliance: Appliance,
        browser: Browser,
        stack: ExitStack,
        *people: Someone,
    ) -> None:
        self._appliance = appliance
        self._url = appliance.url
        self._windows = []
        for somebody in people:
            window = stack.enter_context(person(browser, appliance.url))
            window.sign_in(somebody.email, somebody.password)
            self._windows.append(window)
        self._admin, self._host, self._approver = self._windows

    @property
    def errors(self) -> list[str]:
        """What the browsers complained of."""
        return [error for window in self._windows for error in window.errors]

    def make_policy(self, text: str) -> None:
        page = self._at(self._admin, "/policy")
        page.locator("#field-text").fill(text)
        page.get_by_role("button", name="Store and let it count").click()
        expect(page.locator(".page-head")).to_contain_text("counts, since")

    def host(self, name: str, repo_url: str) -> Created:
        page = self._at(self._host, "/servers")
        page.get_by_role("link", name="New server").first.click()
        page.get_by_role("radio", name=re.compile("Git repository")).check(force=True)
        page.locator("#field-repo_url").fill(repo_url)
        page.locator("#field-name").fill(name)
        page.get_by_role("button", name="Create server").click()
        key = page.locator("#endpoint-key").inner_text()
        page.get_by_role("link", name="Watch the build").click()
        expect(self._host.status()).to_contain_text("evaluation", timeout=PATIENCE_MS, ignore_case=True)  # fmt: skip
        told = self._appliance.api("GET", f"/api/servers/{name}")
        return Created(told["id"], name, told["endpoint"], key)

    def redeploy(self, name: str) -> None:
        page = self._at(self._host, f"/servers/{name}")
        page.get_by_role("button", name="Redeploy").click()

    def why_held(self, name: str) -> str:
        page = self._at(self._host, f"/servers/{name}")
        return page.locator(
            ".notice", has_text="Why is my server held?"
        ).first.inner_text()

    def evaluate(self, name: str, number: int, version: str) -> None:
        page = self._at(self._host, f"/servers/{name}/evaluations")
        page.get_by_role("link", name="New test").click()
        page.locator("#field-name").fill(f"v{version}")
        page.locator("#field-tool").fill(TOOL)
        page.locator("#field-expectation").fill(
            f'{{"kind": "exact", "value": "{version}"}}'
        )
        page.get_by_role("button", name="Save").click()
        page.get_by_role("link", name="New suite").click()
        suite = f"smoke-{version}"
        page.locator("#field-name").fill(suite)
        page.locator("#field-tests").fill(f"v{version}")
        page.locator("#field-requirement").fill(SMOKE)
        page.get_by_role("button", name="Save").click()
        page.get_by_role(
            "button", name=f"Run {suite} on deployment {number}, which is held"
        ).click()
        expect(page.locator("#run-now .badge").first).to_have_text(
            "Passed", timeout=PATIENCE_MS
        )
        expect(page.locator("#run-now")).to_contain_text("no client is sent there")

    def certify(self, name: str, run_id: int) -> None:
        page = self._at(self._host, f"/marketplace/{run_id}")
        form = page.locator("#certifications")
        form.locator("summary", has_text="Certify").click()
        form.locator("#field-policy_requirement").fill(REVIEW)
        form.locator("#field-status").select_option("It passes")
        form.locator("#field-note").fill(name)
        form.get_by_role("button", name="Certify").click()
        expect(page.locator("#certifications tbody tr", has_text=REVIEW)).to_contain_text("Active")  # fmt: skip

    def lay_track(self, name: str, approver: str) -> None:
        page = self._at(self._host, "/governance/workflows")
        page.get_by_role("link", name="New workflow").first.click()
        page.locator("#field-name").fill(name)
        page.locator('[id="field-steps.0.name"]').fill("review")
        page.locator('[id="field-steps.0.config.groups"]').fill(f"release: {approver}")
        page.get_by_role("button", name="Make workflow").click()
        expect(page.get_by_role("heading", name=name).first).to_be_visible()
        page = self._at(self._host, "/governance/tracks")
        page.get_by_role("link", name="New track").first.click()
        page.locator("#field-name").fill(name)
        page.locator("#field-stages").fill("\n".join(STAGES))
        page.locator("#field-workflow").select_option(label=name)
        page.get_by_role("button", name="Make track").click()
        page.wait_for_url(f"**/governance/tracks/{name}")

    def schedule(self, name: str, stage: str, run_id: int) -> int:
        page = self._at(self._host, f"/governance/tracks/{name}")
        onward = page.get_by_role("button", name=f"To {stage}")
        if onward.count():
            onward.click()
        else:
            page.locator("#field-stage").select_option(stage)
            page.locator("#field-artifact_run_id").fill(str(run_id))
            page.get_by_role("button", name="Schedule").click()
        expect(self._column(stage)).to_contain_text("In progress")
        newest = self._appliance.api("GET", f"/api/promotions/history?track={name}")
        return int(newest["items"][0]["id"])

    def approve_own(self, promotion: int) -> str:
        told = self._promotion(promotion)
        self._at(self._host, f"/governance/tracks/{told['track']}")
        column = self._column(told["stage"])
        column.get_by_role("button", name="Approve").first.click()
        refusal = self._host.page.locator(".notice").first.inner_text()
        # The browser tells of the refusal that was meant.
        meant = "403 (Forbidden)"
        self._host.errors = [item for item in self._host.errors if meant not in item]
        return refusal

    def approve(self, promotion: int) -> None:
        page = self._open_run(promotion)
        page.get_by_role("button", name="Approve").click()
        expect(page.locator("#run-state .badge").first).to_have_text("Completed")

    def reject(self, promotion: int) -> None:
        page = self._open_run(promotion)
        page.locator("#field-comment").fill("It smells.")
        page.get_by_role("button", name="Reject").click()
        expect(page.locator("#run-state .badge").first).to_have_text("Rejected")

    def _open_run(self, promotion: int) -> Page:
        """Have the approver find what waits in the inbox, and open it."""
        told = self._promotion(promotion)
        page = self._at(self._approver, "/governance")
        title = f"to {told['stage']} of {told['track']}"
        page.get_by_role("link", name=title).click()
        return page

    def roll_back(self, promotion: int) -> None:
        told = self._promotion(promotion)
        page = self._at(self._host, f"/governance/tracks/{told['track']}")
        card = self._column(told["stage"]).locator(
            "article", has=page.locator(f'a[href="/marketplace/{told["artifact_run_id"]}"]')
        )  # fmt: skip
        card.get_by_role("button", name="Roll back").first.click()
        page.get_by_role("dialog").get_by_role("button", name="Roll back").click()
        page.wait_for_load_state()

    def _promotion(self, promotion: int) -> dict[str, str]:
        return dict(self._appliance.api("GET", f"/api/promotions/{promotion}"))

    def _column(self, stage: str) -> Locator:
        return self._host.page.locator(
            f'section.stage[aria-labelledby="stage-{stage}"]'
        )

    def _at(self, who: Person, path: str) -> Page:
        who.page.goto(f"{self._url}{path}")
        return who.page
