"""A server goes from a repository through policy, certification and promotion to its clients, and a bad version does not.

Once over REST, once by ``mcpctl`` alone, once in a browser; on real containers, with a caller in the background who must be
answered all the time once there is something to answer.
"""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.fakes.git_http import GitServer, git_server
from tests.harness.appliance import Appliance
from tests.harness.browser import chromium
from tests.harness.governed_launch.people import Someone
from tests.harness.governed_launch.rest import Rest
from tests.harness.governed_launch.story import BrokenStoryError, Story, Surface
from tests.harness.governed_launch.terminal import Terminal
from tests.harness.governed_launch.windows import Windows
from tests.proofs.claim import ClaimBrokenError, hold
from tests.proofs.needs import need_programs


def prove(only: str = "") -> None:
    """Tell the story by every means, or by the one of this name."""
    need_programs("docker", "git", "chromium")
    with _everybody() as (appliance, repositories, people), ExitStack() as stack:
        windows = Windows(appliance, stack.enter_context(chromium()), stack, *people)
        ways: tuple[Surface, ...] = (
            Rest(*people),
            Terminal(appliance, *people),
            windows,
        )
        stories = [
            _told(appliance, repositories, way, people[2].email)
            for way in ways
            if only in {"", way.name}
        ]
        complaints = windows.errors
    calls = sum(story.calls for story in stories)
    hold(
        calls > 0 and not complaints,
        f"{len(stories)} ways ({', '.join(story.name for story in stories)}): nothing ran that was not certified and promoted,"
        f" {calls} calls in the background, 0 failed; the browsers complained of {complaints or 'nothing'}",
    )


def _told(
    appliance: Appliance, repositories: GitServer, surface: Surface, approver: str
) -> Story:
    story = Story(appliance, repositories, surface, approver)
    try:
        story.first_launch()
        story.next_stage()
        story.failed_run()
        story.roll_back()
    except BrokenStoryError as error:
        raise ClaimBrokenError(f"{surface.name}: {error}") from error
    finally:
        for what, took_s in story.times.items():
            print(f"{surface.name:<9}{took_s:6.1f} s  {what}", flush=True)
    return story


@contextmanager
def _everybody() -> Iterator[
    tuple[Appliance, GitServer, tuple[Someone, Someone, Someone]]
]:
    """Start an appliance with three people and a place for repositories."""
    with (
        tempfile.TemporaryDirectory(dir="/var/tmp") as place,
        git_server(Path(place)) as repositories,
        Appliance.temporary() as appliance,
    ):
        people = (
            Someone.new(appliance, "root", admin=True),
            Someone.new(appliance, "ada"),
            Someone.new(appliance, "bob"),
        )
        try:
            yield appliance, repositories, people
        finally:
            for person in people:
                person.close()
