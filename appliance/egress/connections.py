"""Takes the connections that the firewall leads here, and makes each to where the container wanted it."""

import contextlib
import errno
import socket
import struct
import time
from dataclasses import dataclass, field

from appliance.core.egress import RESOLVER
from appliance.egress import links
from appliance.egress.config import EgressConfig
from appliance.egress.loop import READ, WRITE, Loop
from appliance.egress.names import Locate, upstream
from appliance.egress.policies import Board, Rule, is_address, verdict
from appliance.egress.records import Attempt, Records
from appliance.egress.resolving import Resolver
from appliance.egress.splice import Splice, reset

_SO_ORIGINAL_DST = 80
_ADDRESS = struct.Struct("!2xH4s8x")
#: Of one server at once; more are refused.
PER_SERVER = 256
CONNECT_WITHIN_S = 10.0


@dataclass(eq=False)
class _Wanted:
    """A connection on its way."""

    client: socket.socket
    server: int
    #: What the container named, or the address that it used.
    host: str
    port: int
    rule: Rule
    since: float = field(default_factory=time.monotonic)
    #: Addresses that are still to be tried.
    left: list[str] = field(default_factory=list)
    out: socket.socket | None = None
    splice: Splice | None = None


class Connections:
    """Accepts, resolves, connects, carries."""

    def __init__(
        self,
        config: EgressConfig,
        loop: Loop,
        board: Board,
        records: Records,
        *,
        locate: Locate,
    ) -> None:
        """Listen."""
        self._config, self._loop = config, loop
        self._board, self._records, self._locate = board, records, locate
        self._resolver = Resolver(loop.post)
        self._wanted: set[_Wanted] = set()
        self._listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.settimeout(0)
        self._listener.bind(("0.0.0.0", config.port))  # noqa: S104 - bridges come and go
        self._listener.listen(128)
        self.port: int = self._listener.getsockname()[1]
        loop.watch(self._listener, READ, self._ready)

    def _ready(self, _: int) -> None:
        with contextlib.suppress(BlockingIOError):
            for _ in range(32):
                client, (peer, _port) = self._listener.accept()
                client.settimeout(0)
                self._take(client, self._locate(peer))

    def _take(self, client: socket.socket, server: int | None) -> None:
        wanted_at = _original(client)
        if server is None or wanted_at is None:
            # Nobody's container: it came past the firewall, or its network just went.
            reset(client)
            return
        address, port = wanted_at
        host = self._board.names.by_address.get(address, address)
        policy = self._board.policies.get(server)
        rule = policy.rule(host, port) if policy else None
        if policy and policy.mode == "open" and address == RESOLVER:
            host, rule = upstream(), Rule(upstream(), port, private=True)
        wanted = _Wanted(client, server, host, port, rule or Rule(host, port))
        if rule is None:
            self._give_up(wanted, "it is not allowed")
        elif sum(item.server == server for item in self._wanted) >= PER_SERVER:
            self._give_up(wanted, "too many connections at once")
        else:
            self._begin(wanted)

    def _begin(self, wanted: _Wanted) -> None:
        self._wanted.add(wanted)
        if wanted.rule.host == upstream() and wanted.port == 53:  # noqa: PLR2004 - DNS
            self._connect(wanted, [wanted.host])
        elif is_address(wanted.host):
            self._resolved(wanted, [wanted.host])
        else:
            self._resolver.ask(
                wanted.host, wanted.port, lambda found: self._resolved(wanted, found)
            )

    def _resolved(self, wanted: _Wanted, addresses: list[str]) -> None:
        if wanted not in self._wanted:
            return
        if not addresses:
            self._give_up(wanted, "the name has no address")
            return
        reasons = {address: self._verdict(wanted, address) for address in addresses}
        good = [address for address, reason in reasons.items() if not reason]
        if good:
            self._connect(wanted, good)
        else:
            address, reason = next(iter(reasons.items()))
            told = reason if address == wanted.host else f"{reason} ({address})"
            self._give_up(wanted, told)

    def _verdict(self, wanted: _Wanted, address: str) -> str:
        return verdict(
            address,
            wanted.port,
            rule=wanted.rule,
            pool=self._config.pool,
            is_local=links.is_local(address),
            own_ports=self._config.own_ports,
        )

    def _connect(self, wanted: _Wanted, addresses: list[str]) -> None:
        wanted.left = addresses
        self._try_next(wanted)

    def _try_next(self, wanted: _Wanted) -> None:
        while wanted.left:
            address = wanted.left.pop(0)
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            out = socket.socket(family, socket.SOCK_STREAM)
            out.settimeout(0)
            if out.connect_ex((address, wanted.port)) in {0, errno.EINPROGRESS}:
                wanted.out = out
                self._loop.watch(out, WRITE, lambda _: self._connected(wanted))
                return
            out.close()
        self._give_up(wanted, "nothing answers there")

    def _connected(self, wanted: _Wanted) -> None:
        out = wanted.out
        if out is None or wanted not in self._wanted:
            return
        self._loop.watch(out, 0, lambda _: None)
        if out.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            out.close()
            wanted.out = None
            self._try_next(wanted)
            return
        self._records.add(self._attempt(wanted, allowed=True))
        wanted.splice = Splice(
            self._loop, wanted.client, out, lambda _: self._gone(wanted)
        )

    def _gone(self, wanted: _Wanted) -> None:
        self._count_bytes(wanted)
        self._wanted.discard(wanted)

    def _count_bytes(self, wanted: _Wanted) -> None:
        if wanted.splice and any(news := wanted.splice.news()):
            self._records.add(
                self._attempt(wanted, allowed=True),
                attempts=0,
                sent=news[0],
                received=news[1],
            )

    def _attempt(self, wanted: _Wanted, *, allowed: bool) -> Attempt:
        return Attempt(wanted.server, wanted.host, wanted.port, "tcp", allowed)

    def _give_up(self, wanted: _Wanted, reason: str) -> None:
        self._wanted.discard(wanted)
        if wanted.out:
            self._loop.watch(wanted.out, 0, lambda _: None)
            wanted.out.close()
        self._records.add(self._attempt(wanted, allowed=False), reason=reason)
        reset(wanted.client)

    # -- from time to time

    def review(self) -> None:
        """End what a new policy does not allow any more."""
        for wanted in list(self._wanted):
            policy = self._board.policies.get(wanted.server)
            is_open = policy is not None and policy.mode == "open"
            if is_open or (policy and policy.rule(wanted.host, wanted.port)):
                continue
            if wanted.splice:
                wanted.splice.cut()
            else:
                self._give_up(wanted, "it is not allowed")

    def tick(self) -> None:
        """Give up what takes too long to connect, and count bytes of what lasts."""
        late = time.monotonic() - CONNECT_WITHIN_S
        for wanted in list(self._wanted):
            if wanted.splice:
                self._count_bytes(wanted)
            elif wanted.since < late:
                self._give_up(wanted, "nothing answers there")


def _original(client: socket.socket) -> tuple[str, int] | None:
    """Return where a connection was going before the firewall led it here."""
    try:
        raw = client.getsockopt(socket.SOL_IP, _SO_ORIGINAL_DST, 16)
    except OSError:
        return None
    port, packed = _ADDRESS.unpack(raw)
    return socket.inet_ntoa(packed), port
