"""Published packages, hosted as they are, against the same listed by hand.

Each package of ``packages.tsv`` is hosted by a running appliance (hub, engine, gateway) and asked for its tools at its
endpoint; by hand it is started with ``npx`` or ``uvx`` in a container of the same base image and asked over its pipes. The
names must be the same; both sides are the same client, one that cannot be asked anything. One that fails by hand with the
newest of what it needs is listed by hand as of the day that the appliance found for it.
"""

import secrets
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import httpx

from tests.harness.appliance import Appliance, Created
from tests.harness.by_hand import (
    NotByHandError,
    Package,
    read_packages,
    tools_by_hand,
)
from tests.harness.mcp import HttpMcp
from tests.proofs.claim import hold

LIST = Path(__file__).with_name("packages.tsv")
AT_ONCE = 2
TIME_OUT_S = 600
MAX_SHOWN = 150


@dataclass
class Outcome:
    """What became of one package."""

    package: Package
    version: str = ""
    as_of: str = ""
    hosted: list[str] = field(default_factory=list)
    by_hand: list[str] = field(default_factory=list)
    seconds: float = 0
    #: Why hosting failed; empty: it did not.
    failure: str = ""
    #: Why listing by hand with the newest of everything failed.
    failure_by_hand: str = ""

    @property
    def is_same(self) -> bool:
        """Whether both list the same tools, and any."""
        return bool(self.hosted) and self.hosted == self.by_hand

    @property
    def verdict(self) -> str:
        """``same``, or the failure's class."""
        if self.is_same:
            return "same"
        if self.failure:
            return failure_class(self.failure)
        return "not-by-hand" if not self.by_hand else "differs"


def failure_class(reason: str) -> str:
    """Return the class of a reason for which a server does not run."""
    classes = (
        ("It needs the setting", "missing-setting"),
        ("Resolved as of", "broken-as-of-release"),
        ("did not answer", "silent"),
        ("It ended", "ended"),
        ("It was killed", "memory"),
        ("out of memory", "memory"),
    )
    return next((name for words, name in classes if words in reason), "build")


def prove() -> None:
    """Host and list every package, two at a time, and compare."""
    packages = read_packages(LIST)
    with Appliance.temporary(start_timeout=120) as appliance:
        base = appliance.warm_up()
        outcomes = compare(appliance, base, packages, at_once=AT_ONCE)
    same = sum(outcome.is_same for outcome in outcomes)
    again = sum(bool(outcome.as_of) for outcome in outcomes)
    hold(
        same == len(packages),
        f"{same} of {len(packages)} packages list the same tools hosted as by hand,"
        f" {again} of them as of their release",
    )


def compare(
    appliance: Appliance, base: str, packages: list[Package], *, at_once: int
) -> list[Outcome]:
    """Return the outcomes in the list's order, after printing a row for each as it comes."""
    cache = f"mcp-host-proof-{secrets.token_hex(4)}"
    lock = threading.Lock()

    def one(package: Package) -> Outcome:
        outcome = Outcome(package)
        _host(appliance, outcome)
        _list_by_hand(base, cache, outcome)
        with lock:
            print(_row(outcome), flush=True)
        return outcome

    print(
        f"{'package':<52} {'version':<12} {'as of':<11} tools by hand  seconds  verdict"
    )
    try:
        with ThreadPoolExecutor(at_once) as pool:
            return list(pool.map(one, packages))
    finally:
        remove = ["docker", "volume", "rm", "-f", cache]
        subprocess.run(remove, capture_output=True, check=False)


def _row(outcome: Outcome) -> str:
    row = (
        f"{outcome.package.text:<52} {outcome.version:<12} {outcome.as_of or '-':<11} {len(outcome.hosted):>5}"
        f" {len(outcome.by_hand):>7} {outcome.seconds:>8.1f}  {outcome.verdict}"
    )
    told = [
        f"\n    {who}: {why[:MAX_SHOWN]}"
        for who, why in (
            ("hosted", outcome.failure),
            ("by hand, newest", outcome.failure_by_hand),
        )
        if why
    ]
    if outcome.verdict == "differs":
        only = set(outcome.hosted) ^ set(outcome.by_hand)
        told.append(f"\n    only on one side: {', '.join(sorted(only))}")
    return row + "".join(told)


def _host(appliance: Appliance, outcome: Outcome) -> None:
    started = time.monotonic()
    package = outcome.package
    name = package.name.strip("@").replace("/", "-").replace(".", "-").lower()[:60]
    created = appliance.create(
        name,
        package=package.text,
        arguments=list(package.arguments),
        session_mode=package.session_mode,
    )
    try:
        view = appliance.wait_running(created, timeout_s=TIME_OUT_S)
        resolved = view["deployment"]["resolved"]
        outcome.version = resolved.get("version", "")
        outcome.as_of = resolved.get("as_of", "")
        outcome.hosted = _tools(created)
    except (AssertionError, TimeoutError, RuntimeError, httpx.HTTPError) as error:
        outcome.failure = str(error)
    outcome.seconds = time.monotonic() - started
    appliance.delete(created.id)


def _tools(created: Created) -> list[str]:
    names: list[str] = []
    with HttpMcp(created.endpoint, created.key, timeout_s=120) as client:
        client.initialize()
        params: dict[str, Any] = {}
        while True:
            page = client.request("tools/list", params)
            names += [tool["name"] for tool in page["tools"]]
            if not page.get("nextCursor"):
                return sorted(names)
            params = {"cursor": page["nextCursor"]}


def _list_by_hand(base: str, cache: str, outcome: Outcome) -> None:
    try:
        outcome.by_hand = tools_by_hand(base, outcome.package, cache=cache)
    except NotByHandError as error:
        outcome.failure_by_hand = str(error)
        if not outcome.as_of:
            return
        end = date.fromisoformat(outcome.as_of) + timedelta(days=1)
        try:
            outcome.by_hand = tools_by_hand(
                base, outcome.package, cache=cache, as_of=f"{end}T00:00:00Z"
            )
        except NotByHandError as again:
            outcome.failure_by_hand += f" As of {outcome.as_of}: {again}"
