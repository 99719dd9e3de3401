"""From the release that runs to another, and back by itself when anything is wrong with it."""

from collections.abc import Callable

from appliance.core.errors import DomainError
from appliance.infra import supervisor
from appliance.infra.turns import read_state
from appliance.settings import Settings
from appliance.upgrades import steps
from appliance.upgrades.errors import UpgradeFailedError
from appliance.upgrades.home import Home
from appliance.upgrades.model import Journal, Outcome

#: Seconds for which the new release must stay well before the change counts as done.
WATCH_S = 20.0


class Switch:
    """One change of release.

    Args:
        settings: Of the box.
        home: Its releases.
        say: Told what happens.
        watch_s: Seconds for which everything must stay well afterwards.
    """

    def __init__(
        self,
        settings: Settings,
        home: Home,
        say: Callable[[str], None],
        *,
        watch_s: float = WATCH_S,
    ) -> None:
        """Do nothing yet."""
        self._settings = settings
        self._home = home
        self._say = say
        self._watch_s = watch_s

    def to(self, version: str, *, is_back: bool = False) -> None:
        """Change to ``version``; on failure the box is where it was, and the error says what failed.

        Args:
            version: Complete on this box.
            is_back: It is the release before, whose schema the database has outgrown.

        Raises:
            UpgradeRunsError: Another change is on its way.
            UnknownReleaseError: There is no such release.
            UnfitReleaseError: It cannot take over.
            UpgradeFailedError: Something went wrong, and was undone.
        """
        with self._home.locked():
            begun = self._home.journal()
            journal = Journal(begun.origin if begun else self._home.version, version)
            self._home.release(version)
            if begun:
                self._say(f"An earlier change to {begun.to} was interrupted.")
            elif version == self._home.version:
                self._say(f"Release {version} is installed already.")
                return
            self._change(journal, is_back=is_back, was_interrupted=begun is not None)

    def _change(
        self, journal: Journal, *, is_back: bool, was_interrupted: bool
    ) -> None:
        is_up = bool(steps.running(self._settings))
        if not is_up:
            self._home.begin(journal)
            self._home.point_to(journal.to)
            self._home.end(journal, Outcome.UPGRADED)
            self._say("The appliance does not run; it starts with this release.")
            return
        if not was_interrupted:
            steps.wait_ready(self._settings)
        if not is_back:
            steps.check_schema(
                self._settings, self._home.release(journal.to), journal.to
            )
        self._home.begin(journal)
        try:
            self._prepare(journal, is_back=is_back)
            self._switch(journal.origin, journal.to)
            self._say(f"Watching for {self._watch_s:g} seconds that all stays well")
            steps.watch(self._settings, self._watch_s)
        except DomainError as error:
            self._undo(journal, error)
            raise UpgradeFailedError(
                f"{error.reason} The box is at release {journal.origin} again."
            ) from error
        outcome = Outcome.ROLLED_BACK if is_back else Outcome.UPGRADED
        self._home.end(journal, outcome)
        for gone in self._home.prune():
            self._say(f"Removed release {gone}")
        self._say(f"This box is at release {journal.to}.")

    def _prepare(self, journal: Journal, *, is_back: bool) -> None:
        """Do all that can be done, and can fail, while the old release serves alone."""
        if not is_back:
            self._say("Backing up")
            self._back_up(journal)
            self._say("Bringing the schema up; it only expands, so both releases work")
            self._run(journal.to, "migrate")
        self._say(f"Trying release {journal.to} beside the one that serves")
        self._run(journal.to, "serve", "--trial")
        self._run(journal.to, "gateway", "--check")

    def _back_up(self, journal: Journal) -> None:
        path = steps.dump(self._settings, journal.to)
        told = f"to {path}" if path else "nothing: DATABASE_URL's Postgres is not ours"
        self._say(f"Backed up {told}")

    def _switch(self, origin: str, version: str) -> None:
        home, settings = self._home, self._settings
        self._say(f"Switching to {version}")
        home.point_to(version)
        self._run(version, "release", "refresh")
        names = steps.running(settings)
        if "gateway" in names:
            self._say("Handing the gateway over")
            steps.hand_over_gateway(settings, version)
        is_same = steps.egress_is_same(home.release(origin), home.release(version))
        for name in steps.RESTARTED:
            if name not in names:
                continue
            if name == "egress" and is_same:
                self._say("Egress is the same in both and goes on")
                continue
            self._say(f"Restarting {name}")
            steps.restart(settings, name)

    def _undo(self, journal: Journal, error: DomainError) -> None:
        self._say(f"Failed: {error.reason}")
        if self._home.version != journal.origin or self._is_mixed(journal):
            self._say(f"Going back to {journal.origin}")
            self._back(journal)
        self._home.end(journal, Outcome.FAILED, error.reason)

    def _is_mixed(self, journal: Journal) -> bool:
        """Whether something of the other release may run although the link says otherwise."""
        state = read_state(self._settings.run_dir)
        return state is not None and state.release != journal.origin

    def _back(self, journal: Journal) -> None:
        """As ``_switch``, but whatever fails, the rest is done."""
        home, settings, origin = self._home, self._settings, journal.origin
        home.point_to(origin)
        with steps.ignoring_failure(self._say):
            self._run(origin, "release", "refresh")
        state = read_state(settings.run_dir)
        names = steps.running(settings)
        if "gateway" in names and state is not None and state.release != origin:
            with steps.ignoring_failure(self._say):
                steps.hand_over_gateway(settings, origin)
        is_same = steps.egress_is_same(home.release(origin), home.release(journal.to))
        for name in steps.RESTARTED:
            if name in _known(settings) and not (name == "egress" and is_same):
                with steps.ignoring_failure(self._say):
                    steps.restart(settings, name)

    def _run(self, version: str, *words: str) -> None:
        steps.run(self._home, version, *words)


def _known(settings: Settings) -> set[str]:
    found = supervisor.status(settings) or []
    return {item.name for item in found}
