"""What happens in a governed launch, whoever does it by whatever means.

The story acts through a ``Surface`` alone. What came of it is read from elsewhere: from what the gateway answers, from the
containers on the engine, and from the REST API as an administrator sees it.
"""

import time
from collections.abc import Callable
from typing import Any, Protocol

from tests.fakes.git_http import GitServer
from tests.fakes.tiny import versioned_server
from tests.harness.appliance import Appliance, Created
from tests.harness.governed_launch.callers import Caller, answer_of

SMOKE, REVIEW = "smoke", "security-review"
STAGES = ("staging", "production")
#: Only what is built from repositories; what else runs on the box is nobody's business here.
POLICY = f"""\
version: 1
rules:
  - kind: require-certification
    tiers: ["*:git"]
    requirements: [{SMOKE}, {REVIEW}]
  - kind: require-promotion
    tiers: ["*:git"]
"""
PATIENCE_S = 90.0
#: So long nothing may happen that must not happen.
QUIET_S = 1.5


class BrokenStoryError(AssertionError):
    """Something came otherwise than it must; the text says what."""


class Surface(Protocol):
    """One way of doing what a governed launch takes: as an administrator, as who hosts, and as who approves."""

    name: str

    def make_policy(self, text: str) -> None:
        """Have a policy count from now on, as an administrator."""

    def host(self, name: str, repo_url: str) -> Created:
        """Ask for a server."""

    def redeploy(self, name: str) -> None:
        """Deploy what the repository has now."""

    def why_held(self, name: str) -> str:
        """Return all that whoever hosts it is told about why it is held."""

    def evaluate(self, name: str, number: int, version: str) -> None:
        """Run a suite that certifies ``smoke`` against a deployment, and wait until it has passed."""

    def certify(self, name: str, run_id: int) -> None:
        """Certify ``security-review`` of a run of the ledger by hand."""

    def lay_track(self, name: str, approver: str) -> None:
        """Make a workflow that somebody else must approve, and a track of two stages that goes by it."""

    def schedule(self, name: str, stage: str, run_id: int) -> int:
        """Schedule a promotion of a run of the ledger along the track of that name; return its number."""

    def approve_own(self, promotion: int) -> str:
        """Try to approve what one scheduled oneself; return how it is refused, empty if it is not."""

    def approve(self, promotion: int) -> None:
        """Approve as the second person, as they find it in their inbox."""

    def reject(self, promotion: int) -> None:
        """Reject as the second person, so that the workflow's run fails."""

    def roll_back(self, promotion: int) -> None:
        """Take back an active promotion."""


class Story:
    """One server and what becomes of it.

    Args:
        appliance: Where; its administrator is who looks what came of it.
        repositories: Where the server's repository is served.
        surface: By what means.
        approver: The e-mail address of the second person.
    """

    def __init__(
        self,
        appliance: Appliance,
        repositories: GitServer,
        surface: Surface,
        approver: str,
    ) -> None:
        self.name = f"clock-{surface.name}"
        self.times: dict[str, float] = {}
        self._appliance = appliance
        self._repositories = repositories
        self._do = surface
        self._approver = approver
        #: Answered calls of the one in the background.
        self.calls = 0
        self._server: Created | None = None

    @property
    def server(self) -> Created:
        """The server, once it was asked for."""
        assert self._server is not None
        return self._server

    # -- chapters

    def first_launch(self) -> None:
        """From a repository to the first answer."""
        self._do.make_policy(POLICY)
        url = self._publish("1")
        with self._timed("built, and held for its certifications"):
            self._server = self._do.host(self.name, url)
            self._held("pending-evaluation")
        self._nothing_runs()
        run = self._run_of(1)
        for requirement in (SMOKE, REVIEW):
            self._is_told(f"evaluation:missing:{run['tier']}:{requirement}")
        with self._timed("certified by a suite, asked of a candidate"):
            self._do.evaluate(self.name, 1, "1")
        self._nothing_runs(wait=True)
        with self._timed("certified by hand, and held for its promotion"):
            self._do.certify(self.name, run["id"])
            self._held("pending-governance")
        self._is_told(f"governance:missing-promotion:{run['tier']}")
        self._nothing_runs()
        self._do.lay_track(self.name, self._approver)
        promotion = self._do.schedule(self.name, STAGES[0], run["id"])
        require(self._status_of(promotion) == "in_progress", self._told(promotion))
        refusal = self._do.approve_own(promotion)
        require(bool(refusal), "whoever scheduled it could approve it")
        require(self._status_of(promotion) == "in_progress", self._told(promotion))
        with self._timed("approved, launched by itself and answering"):
            self._do.approve(promotion)
            self._until(self._answers("1"), "version 1 does not answer")
        require(self._status_of(promotion) == "active", self._told(promotion))
        self._view(lambda view: view["hold"] is None and view["status"] == "running")

    def next_stage(self) -> int:
        """On to the second stage; returns the promotion."""
        run = self._run_of(1)
        with self._timed("active in the next stage"):
            promotion = self._do.schedule(self.name, STAGES[1], run["id"])
            self._do.approve(promotion)
            self._is(promotion, "active")
        return promotion

    def failed_run(self) -> None:
        """A version whose run fails is never switched to."""
        with Caller(self.server) as caller:
            run = self._certified_version("2", 2)
            promotion = self._do.schedule(self.name, STAGES[0], run["id"])
            with self._timed("its run failed, and it was rolled back"):
                self._do.reject(promotion)
                self._is(promotion, "rolled_back")
            self._is_told(f"promotion:rolled_back:{self.name}:{STAGES[0]}")
            time.sleep(QUIET_S)
            self._view(lambda view: view["status"] == "running")
        require(
            set(caller.answers) == {"1"}, f"who answered meanwhile: {caller.answers}"
        )
        require(
            not caller.failures, f"{len(caller.failures)} failed: {caller.failures[:3]}"
        )
        self.calls += caller.answers.total()

    def roll_back(self, number: int = 3) -> None:
        """A version, the deployment of this number, takes the first one's place, and is taken back."""
        with Caller(self.server) as caller:
            run = self._certified_version("3", number)
            promotion = self._do.schedule(self.name, STAGES[0], run["id"])
            with self._timed("the next version approved and answering"):
                self._do.approve(promotion)
                self._until(self._answers("3"), "version 3 does not answer")
            first = self._promotions(1, STAGES[0])[0]
            self._is(first["id"], "superseded")
            with self._timed("rolled back, and the version before active again"):
                self._do.roll_back(promotion)
                self._is(promotion, "rolled_back")
                self._until(
                    lambda: self._promotions(1, STAGES[0])[0]["status"] == "active",
                    "the version before is not active again",
                )
            with self._timed("the version before answering again"):
                self._until(self._answers("1"), "version 1 does not answer again")
        require(set(caller.answers) == {"1", "3"}, f"who answered: {caller.answers}")
        require(
            not caller.failures, f"{len(caller.failures)} failed: {caller.failures[:3]}"
        )
        self.calls += caller.answers.total()

    # -- what is done in more than one of them

    def _publish(self, version: str) -> str:
        return self._repositories.add(self.name, versioned_server(version))

    def _certified_version(self, version: str, number: int) -> dict[str, Any]:
        self._publish(version)
        with self._timed(f"version {version} built beside, held, certified"):
            self._do.redeploy(self.name)
            self._view(
                lambda view: (
                    view["hold"] is not None and view["deployment"]["number"] == number
                )
            )
            run = self._run_of(number)
            self._is_told(f"evaluation:missing:{run['tier']}:{SMOKE}")
            self._do.evaluate(self.name, number, version)
            self._do.certify(self.name, run["id"])
            note = f"governance:missing-promotion:{run['tier']}"
            self._view(lambda view: view["hold"] and note in view["hold"]["notes"])
        return run

    # -- what came of it

    def _held(self, status: str) -> None:
        self._view(lambda view: view["status"] == status and view["hold"] is not None)

    def _is_told(self, note: str) -> None:
        """Require that a hold has a note and a next step, and that whoever hosts it is told both."""
        view = self._view(lambda view: view["hold"] and note in view["hold"]["notes"])
        (action, *_) = view["hold"]["actions"] or [""]
        require(bool(action), f"no next step for {note}")
        told = " ".join(self._do.why_held(self.name).split())
        require(note in told, f"{note} is not told: {told}")
        require(" ".join(action.split()) in told, f"{action!r} is not told: {told}")

    def _run_of(self, number: int) -> dict[str, Any]:
        """Return the ledger's row of a deployment."""
        rows = self._appliance.query(
            "SELECT r.id FROM build_artifact_runs r JOIN deployments d ON d.id = r.deployment_id"
            " WHERE d.server_id = %s AND d.number = %s AND r.status = 'succeeded'",
            self.server.id,
            number,
        )
        require(
            len(rows) == 1, f"{len(rows)} rows in the ledger of deployment {number}"
        )
        return dict(self._appliance.api("GET", f"/api/artifacts/{rows[0][0]}"))

    def _promotions(self, number: int, stage: str) -> list[dict[str, Any]]:
        run_id = self._run_of(number)["id"]
        path = f"/api/promotions/history?track={self.name}"
        return [
            item
            for item in self._appliance.api("GET", path)["items"]
            if (item["stage"], item["artifact_run_id"]) == (stage, run_id)
        ]

    def _status_of(self, promotion: int) -> str:
        return str(self._appliance.api("GET", f"/api/promotions/{promotion}")["status"])

    def _told(self, promotion: int) -> str:
        return f"promotion {promotion} is {self._status_of(promotion)}"

    def _is(self, promotion: int, status: str) -> None:
        self._until(
            lambda: self._status_of(promotion) == status,
            f"promotion {promotion} does not become {status}",
        )

    def _nothing_runs(self, *, wait: bool = False) -> None:
        """Require that no instance is there and that no client is answered."""
        if wait:
            self._until(
                lambda: not self._appliance.containers(self.server.id),
                "the candidate is not taken away",
            )
        left = self._appliance.containers(self.server.id)
        require(not left, f"containers of a held server: {left}")
        require(not self._answers("")(), "a held server answers")

    def _answers(self, version: str) -> Callable[[], bool]:
        """Return whether a client is answered, and by that version if one is named."""

        def look() -> bool:
            try:
                said = answer_of(self.server)
            except Exception:  # noqa: BLE001 - whatever is said instead is no answer
                return False
            return not version or said == version

        return look

    def _view(self, is_so: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
        """Wait until the server's document is so, and return it."""
        seen: list[dict[str, Any]] = []

        def look() -> bool:
            seen[:] = [self._appliance.api("GET", f"/api/servers/{self.server.id}")]
            return bool(is_so(seen[0]))

        self._until(look, "the server does not become as it should", lambda: seen[0])
        return seen[0]

    def _until(
        self,
        is_so: Callable[[], bool],
        otherwise: str,
        seen: Callable[[], dict[str, Any]] | None = None,
    ) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not is_so():
            if time.monotonic() > deadline:
                view = seen() if seen else self._appliance.api("GET", f"/api/servers/{self.server.id}")  # fmt: skip
                told = {name: view[name] for name in ("status", "status_reason", "hold")}  # fmt: skip
                raise BrokenStoryError(f"{self.name}: {otherwise}: {told}")
            time.sleep(0.1)

    def _timed(self, what: str) -> "_Timed":
        return _Timed(self.times, what)


class _Timed:
    def __init__(self, times: dict[str, float], what: str) -> None:
        self._times, self._what = times, what

    def __enter__(self) -> None:
        self._began = time.monotonic()

    def __exit__(self, *_: object) -> None:
        self._times[self._what] = time.monotonic() - self._began


def require(is_so: bool, otherwise: str) -> None:  # noqa: FBT001 - reads as a sentence
    """Raise ``BrokenStoryError`` unless something is as it must be."""
    if not is_so:
        raise BrokenStoryError(otherwise)
