"""The egress process: keeps the firewall as the policies say, answers names, carries connections, tells what was tried.

Parts of it may be missing (rights, nftables, Postgres): it then does what it can, says what it cannot, and tries again.
What it cannot do stays closed, because only it puts the gateway on a server's network.
"""

import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from appliance.egress import links, watch
from appliance.egress.config import EgressConfig
from appliance.egress.connections import Connections
from appliance.egress.errors import NoRightsError
from appliance.egress.firewall import Firewall
from appliance.egress.ledger import Ledger, Rules
from appliance.egress.loop import READ, Loop
from appliance.egress.names import NameServer
from appliance.egress.nflog import Denied
from appliance.egress.policies import Board, Policy, Rule
from appliance.egress.records import Attempt, Records
from appliance.infra.heartbeat import EVERY_S as BEAT_S
from appliance.infra.heartbeat import Heartbeat

#: Between looks at what may have changed without a word, and at connections.
LOOK_S = 30.0
TICK_S = 5.0
#: After a change of anybody's rules; they come many at once.
SETTLE_S = 0.3
LINKS_SETTLE_S = 0.02


def log(event: str, **fields: object) -> None:
    """Write one JSON line, as every process of the appliance does."""
    line = {
        "event": event,
        "level": "info",
        "logger": "egress",
        "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    print(json.dumps(line | fields), flush=True)  # noqa: T201 - standard output is the log


class Egress:
    """Everything of the process."""

    def __init__(self, config: EgressConfig) -> None:
        """Open what needs no rights."""
        self._config = config
        self._loop = Loop()
        self._board = Board()
        self._records = Records()
        self._bridges: list[links.Bridge] = []
        self._firewall: Firewall | None = None
        self._problem = ""
        self._must_look_at: float | None = None
        self._held: set[tuple[links.Bridge, bool]] = set()
        self._is_looking = False
        self._connections = Connections(
            config, self._loop, self._board, self._records, locate=self._locate
        )
        self._names = NameServer(
            self._loop,
            self._board,
            self._records,
            locate=self._locate,
            allow=self._allow,
            port=config.port,
        )
        self._ledger = Ledger(config.database, self._records, self._took)
        self._links, self._rules = watch.of_links(), watch.of_rules()

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT. Blocking. The rules stay: what runs on stays as closed as it was."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._loop.stop)
        self._restore()
        self._loop.watch(self._links, READ, lambda _: self._links_changed())
        self._loop.watch(self._rules, READ, lambda _: self._rules_changed())
        self._loop.every(TICK_S, self._tick)
        self._loop.every(LOOK_S, self._look)
        if self._config.beat_file:
            self._loop.every(BEAT_S, Heartbeat(Path(self._config.beat_file)).beat)
        self._enforce()
        self._ledger.start()
        log(
            "egress_ready",
            tcp_port=self._connections.port,
            dns_port=self._names.port,
            rules_alone=links.settings_are_read_only(),
        )
        self._loop.run()
        self._ledger.stop()

    # -- what is allowed

    def _took(self, policies: Rules) -> None:
        self._loop.post(lambda: self._replace(policies))

    def _replace(self, policies: Rules) -> None:
        if policies != self._board.policies:
            self._records.forget(set(self._board.policies) - set(policies))
            self._board.replace(policies)
            self._save()
            if self._firewall:
                self._guarded(self._firewall.update)
                self._hold()
            self._connections.review()
            log("egress_policies", servers=len(policies))
        self._ledger.applied()

    def _allow(self, server: int, address: str) -> None:
        if self._firewall:
            firewall = self._firewall
            self._guarded(lambda: firewall.allow(server, address))
        self._save()

    def _locate(self, address: str) -> int | None:
        found = links.server_at(address, self._bridges)
        return found.server if found else None

    # -- keeping it so

    def _enforce(self) -> None:
        """Set up the firewall if that was not possible before."""
        if self._firewall is None:
            try:
                self._firewall = Firewall(
                    self._config,
                    self._board,
                    dns_port=self._names.port,
                    tcp_port=self._connections.port,
                )
            except NoRightsError as error:
                self._tell(error.reason)
                return
            self._loop.watch(self._firewall.log, READ, lambda _: self._denied())
        self._guarded(self._firewall.make)
        self._hold()

    def _guarded(self, action: Callable[[], None]) -> None:
        try:
            action()
        except NoRightsError as error:
            self._tell(error.reason)
        else:
            self._tell("")

    def _tell(self, problem: str) -> None:
        if problem != self._problem:
            log("egress_problem" if problem else "egress_enforced", problem=problem)
        self._problem = problem
        self._ledger.tell(enforced=not problem, problem=problem)

    def _hold(self) -> None:
        """Hold every bridge that is not held as it must be."""
        self._bridges = links.bridges(self._config.prefix)
        if self._firewall is None or self._problem:
            return
        opened = set(self._board.open_servers())
        wanted = {(bridge, bridge.server in opened) for bridge in self._bridges}
        if not self._held >= wanted:
            self._held = links.are_held(wanted)
        for bridge, is_open in wanted - self._held:
            if links.hold(bridge, is_open=is_open):
                self._held.add((bridge, is_open))
        for bridge in self._bridges:
            links.separate(bridge)

    def _links_changed(self) -> None:
        self._links.drain()
        if not self._is_looking:
            # They come many at once.
            self._is_looking = True
            self._loop.later(LINKS_SETTLE_S, self._look_at_links)

    def _look_at_links(self) -> None:
        self._is_looking = False
        self._hold()

    def _rules_changed(self) -> None:
        self._rules.drain()
        if self._must_look_at is None:
            # Later changes do not put it off: on a box where somebody changes rules all the time it would never come.
            self._must_look_at = time.monotonic() + SETTLE_S

    def _look(self) -> None:
        if self._firewall is None or not self._firewall.is_there():
            self._enforce()
        # Whatever somebody changed by hand is as it must be again.
        self._held = set()
        self._hold()

    def _tick(self) -> None:
        self._connections.tick()
        if self._must_look_at and self._must_look_at <= time.monotonic():
            self._must_look_at = None
            self._look()
        if self._records.tallies:
            self._ledger.wake()

    # -- what was denied

    def _denied(self) -> None:
        if self._firewall:
            for packet in self._firewall.log.read():
                self._count(packet)
            self._ledger.wake()

    def _count(self, packet: Denied) -> None:
        name = links.interface_name(packet.interface)
        bridge = next((item for item in self._bridges if item.name == name), None)
        if bridge is None:
            return
        host = self._board.names.by_address.get(packet.destination, packet.destination)
        self._records.add(
            Attempt(bridge.server, host, packet.port, packet.protocol, allowed=False),
            reason=self._why(packet, bridge),
        )

    def _why(self, packet: Denied, bridge: links.Bridge) -> str:
        policy = self._board.policies.get(bridge.server)
        if policy is None or policy.mode == "none":
            return "nothing is allowed"
        if packet.protocol != "tcp" and policy.mode != "open":
            return f"only connections are allowed, no {packet.protocol}"
        if packet.destination in self._board.names.by_address:
            host = self._board.names.by_address[packet.destination]
            if policy.ports(host):
                return "the name is allowed on other ports"
        if policy.mode == "open":
            return "the address is private"
        return "it is not allowed"

    # -- what is known while Postgres is away

    def _save(self) -> None:
        path = Path(self._config.state_file)
        fresh = path.with_suffix(".new")
        policies = {
            str(key): asdict(item) for key, item in self._board.policies.items()
        }
        asked = {str(key): list(names) for key, names in self._board.asked.items()}
        with contextlib.suppress(OSError):
            fresh.write_text(json.dumps({"policies": policies, "asked": asked}))
            fresh.chmod(0o600)
            os.replace(fresh, path)  # noqa: PTH105 - atomic, and says so

    def _restore(self) -> None:
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            data = json.loads(Path(self._config.state_file).read_text())
            policies = {
                int(key): Policy(
                    item["mode"],
                    tuple(Rule(**rule) for rule in item["rules"]),
                    item["learn"],
                )
                for key, item in data["policies"].items()
            }
            asked = {
                int(key): dict.fromkeys(names) for key, names in data["asked"].items()
            }
            self._board.asked = asked
            self._board.replace(policies)
            for names in self._board.asked.values():
                for name in names:
                    self._board.names.address(name)


def serve(config: EgressConfig) -> int:
    """Run the process and return its exit code. Blocking."""
    try:
        egress = Egress(config)
    except OSError as error:
        print(f"Egress cannot listen: {error.strerror}.", file=sys.stderr)  # noqa: T201 - for who started it
        return 1
    egress.run()
    return 0
