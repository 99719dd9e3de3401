"""The official conformance suite, both requirement sets, against five builds of one server behind this gateway.

The builds speak the older era over stdio, the stateless era over HTTP, both over HTTP, and the older one over HTTP and over
HTTP+SSE; each is hosted from a git repository through the whole pipeline and called with its endpoint key. What no bridge
could pass is in ``conformance_exceptions.toml``.
"""

import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.fakes.git_http import git_server
from tests.harness.appliance import Appliance, Created
from tests.harness.conformance import (
    BUILDS,
    FURTHER_BUILDS,
    REVISIONS,
    Build,
    Scenario,
    host,
    run,
)
from tests.proofs.claim import hold

_EXCEPTIONS = Path(__file__).with_name("conformance_exceptions.toml")
#: Build, revision, scenario.
Known = frozenset[tuple[str, str, str]]


def prove() -> None:
    """Run both sets against all builds."""
    with (
        Appliance.temporary(gw_workers=2) as appliance,
        hosted_builds(appliance, *BUILDS, *FURTHER_BUILDS) as servers,
    ):
        known = exceptions()
        verdicts = [
            measure(created, build, known) for build, created in servers.items()
        ]
    passed = sum(verdict.passed for verdict in verdicts)
    total = sum(verdict.total for verdict in verdicts)
    surprises = [line for verdict in verdicts for line in verdict.surprises]
    for line in surprises:
        print(f"not as expected: {line}")
    hold(
        not surprises,
        f"{passed} of {total} scenarios pass; {len(known)} exceptions, {len(surprises)} not as expected",
    )


class Verdict:
    """How the sets ended for one build."""

    def __init__(self, build: str) -> None:
        self.build = build
        self.passed = 0
        self.total = 0
        #: Failures that are no exceptions, and exceptions that passed.
        self.surprises: list[str] = []
        self._seen: set[tuple[str, str, str]] = set()

    def add(self, scenario: Scenario, known: Known) -> None:
        """Count one scenario."""
        self.total += 1
        self.passed += scenario.passed
        key = (self.build, scenario.revision, scenario.name)
        self._seen.add(key)
        is_known = key in known
        if scenario.passed == is_known:
            why = "passed, though it is an exception"
            if scenario.failures is None:
                why = "did not run"
            elif scenario.failures:
                why = ", ".join(scenario.failures)
            self.surprises.append(
                f"{self.build} {scenario.revision} {scenario.name}: {why}"
            )

    def miss(self, known: Known) -> None:
        """Find exceptions for scenarios that there are not."""
        for key in sorted(known - self._seen):
            if key[0] == self.build:
                self.surprises.append(f"{' '.join(key)}: there is no such scenario")


def measure(created: Created, build: str, known: Known) -> Verdict:
    """Run both sets against one build and print their figures."""
    verdict = Verdict(build)
    for revision in REVISIONS:
        scenarios = run(created.endpoint, f"Bearer {created.key}", revision)
        for scenario in scenarios:
            verdict.add(scenario, known)
        passed = sum(scenario.passed for scenario in scenarios)
        print(f"{build:<12} {revision}  {passed} of {len(scenarios)} scenarios")
    verdict.miss(known)
    return verdict


@contextmanager
def hosted_builds(appliance: Appliance, *builds: Build) -> Iterator[dict[str, Created]]:
    """Have builds hosted side by side and wait until they run."""
    with (
        tempfile.TemporaryDirectory(prefix="conformance-") as root,
        git_server(Path(root)) as repositories,
    ):
        made = {build.name: host(appliance, repositories, build) for build in builds}
        for created in made.values():
            appliance.wait_running(created)
        yield made


def exceptions() -> Known:
    """Return the scenarios that may fail.

    Raises:
        ValueError: One has no reason.
    """
    found = tomllib.loads(_EXCEPTIONS.read_text())["exception"]
    if unexplained := [item["scenario"] for item in found if not item.get("reason")]:
        raise ValueError(f"exceptions without a reason: {', '.join(unexplained)}")
    return frozenset(
        (item["build"], item["revision"], item["scenario"]) for item in found
    )
