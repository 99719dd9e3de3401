"""Makes the configuration: rendered, tried on a copy, and only then put where Nginx reads it."""

import asyncio
import os
import resource
import socket
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from appliance.core.errors import DomainError
from appliance.infra.directories import own_directory
from appliance.infra.handed_files import Reader, hand_file
from appliance.proxy import nginx
from appliance.proxy.certificates_on_disk import Found, Shelf
from appliance.proxy.model import Places, Plan, Quarantined
from appliance.proxy.plan import Box, places_of, plan_of, without
from appliance.proxy.render import generation_in, render
from appliance.proxy.sifting import sift
from appliance.settings import Settings


@dataclass(frozen=True)
class Made:
    """What came of making it."""

    #: Of the file that Nginx shall read.
    generation: str
    found: Found
    quarantined: tuple[Quarantined, ...] = ()
    #: Why the file is not what the settings say; empty: it is.
    problem: str = ""


class Configuration:
    """The file that Nginx reads.

    Args:
        reader: Who may read what is written for Nginx.
    """

    def __init__(self, settings: Settings, reader: Reader) -> None:
        """Keep what it is made of."""
        self._settings = settings
        self._reader = reader
        self._shelf = Shelf(settings.proxy_dir.absolute())
        self.places: Places = places_of(settings)

    async def make(self) -> Made:
        """Bring the file up to date, and leave it as it is where that cannot be done."""
        found = await asyncio.to_thread(self._shelf.look)
        try:
            return await self._make(found)
        except (DomainError, OSError) as error:
            said = error.reason if isinstance(error, DomainError) else _why(error)
            return await self._unchanged(found, said)

    async def keep_as_good(self) -> None:
        """Keep a copy of the file, because Nginx took it. A full disk costs the copy, not the door."""

        def copy() -> None:
            text = self.places.config.read_bytes()
            if _read(self.places.last_good) != text:
                hand_file(self.places.last_good, text, Reader())

        await asyncio.to_thread(copy)

    async def go_back(self) -> bool:
        """Put the file back that Nginx took last, and return whether there is one that it would take.

        Raises:
            NginxMissingError: There is no Nginx.
        """
        places = self.places
        text = await asyncio.to_thread(_read, places.last_good)
        if not text or await nginx.complaint(places.last_good):
            return False
        await asyncio.to_thread(hand_file, places.config, text, Reader())
        return True

    async def _make(self, found: Found) -> Made:
        box = await asyncio.to_thread(box_of)
        names = found.good
        plan = plan_of(self._settings, box, names)
        text = render(plan)
        quarantined = found.bad
        current = await self._current()
        if text != current and (complaint := await self._complaint(plan)):
            bad = await sift(_optional(plan), _Tries(self, plan))
            if set(bad) >= set(_optional(plan)):
                return await self._unchanged(found, f"Nginx refuses it: {complaint}")
            quarantined += tuple(
                Quarantined("wildcard", item, complaint) for item in bad
            )
            text = render(_with(plan, without(_optional(plan), bad)))
        if text != current:
            data = text.encode()
            await asyncio.to_thread(hand_file, self.places.config, data, Reader())
        return Made(generation_in(text), found, quarantined)

    async def complains(self, plan: Plan, names: Sequence[str]) -> bool:
        """Return whether Nginx refuses ``plan`` with these names alone."""
        return bool(await self._complaint(_with(plan, names)))

    async def _complaint(self, plan: Plan) -> str:
        """Try ``plan`` where it disturbs nobody."""
        trial = self.places.run_dir / "trial"
        await asyncio.to_thread(make_run_dirs, replace(self.places, run_dir=trial))
        elsewhere = replace(plan, places=replace(plan.places, run_dir=trial))
        candidate = self.places.candidate
        text = render(elsewhere).encode()
        await asyncio.to_thread(hand_file, candidate, text, Reader())
        return await nginx.complaint(candidate)

    async def _current(self) -> str:
        found = await asyncio.to_thread(_read, self.places.config)
        return found.decode("utf-8", "replace")

    async def _unchanged(self, found: Found, problem: str) -> Made:
        generation = generation_in(await self._current())
        return Made(generation, found, found.bad, problem)


class _Tries:
    """Whether Nginx takes a plan with some of its names."""

    def __init__(self, configuration: Configuration, plan: Plan) -> None:
        self._configuration = configuration
        self._plan = plan

    async def __call__(self, names: Sequence[str]) -> bool:
        return not await self._configuration.complains(self._plan, names)


def box_of() -> Box:
    """Return what this box can. Blocking, but for nothing slow."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = 2**30 if hard == resource.RLIM_INFINITY else hard
    return Box(is_root=os.geteuid() == 0, has_ipv6=_has_ipv6(), files=files)


def make_run_dirs(places: Places) -> None:
    """Make the directories for sockets and what is not worth keeping. Blocking; idempotent."""
    # Workers, who may be another user, come by names; only whoever starts Nginx may look into what controls it.
    passable = 0o711 if os.geteuid() == 0 else 0o700
    own_directory(places.run_dir, mode=passable)
    own_directory(places.temporary, mode=passable)
    own_directory(places.pid.parent, mode=0o700)


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def _optional(plan: Plan) -> tuple[str, ...]:
    return (*plan.wildcards, *plan.apart)


def _with(plan: Plan, names: Sequence[str]) -> Plan:
    kept = set(names)
    return replace(
        plan,
        wildcards=tuple(item for item in plan.wildcards if item in kept),
        apart=tuple(item for item in plan.apart if item in kept),
    )


def _why(error: OSError) -> str:
    what = f" ({error.filename})" if error.filename else ""
    return f"It cannot be written: {error.strerror or error}{what}. What was good serves on."


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
