"""The only DNS server that containers reach: allowed names have an address, and all others do not exist.

Nothing is asked elsewhere, so a name carries nothing out of the box. Servers that may go anywhere are the exception: what
they ask is passed on.
"""

import contextlib
import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from appliance.egress import wire
from appliance.egress.loop import READ, Loop
from appliance.egress.policies import Board
from appliance.egress.records import Attempt, Records

_RESOLV_CONF = Path("/etc/resolv.conf")
#: Questions that were passed on and are not answered yet.
WAITING = 512
ANSWER_WITHIN_S = 10.0
#: Of the ways back from addresses to names, which programs ask for by habit.
_BACKWARDS = ".in-addr.arpa"

Locate = Callable[[str], int | None]


def upstream() -> str:
    """Return the box's own resolver."""
    with contextlib.suppress(OSError):
        for line in _RESOLV_CONF.read_text().splitlines():
            word, _, address = line.strip().partition(" ")
            if word == "nameserver" and ":" not in address:
                return address.strip()
    return "127.0.0.1"


@dataclass(frozen=True)
class _Asked:
    client: tuple[str, int]
    id: int
    at: float


class NameServer:
    """Answers containers.

    Args:
        locate: Which server is behind an address.
        allow: Called when a name that a wildcard allows was asked for the first time: the firewall must know its address
            before the container does.
    """

    def __init__(
        self,
        loop: Loop,
        board: Board,
        records: Records,
        *,
        locate: Locate,
        allow: Callable[[int, str], None],
        port: int,
    ) -> None:
        """Listen."""
        self._loop, self._board, self._records = loop, board, records
        self._locate, self._allow = locate, allow
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.settimeout(0)
        self._socket.bind(("0.0.0.0", port))  # noqa: S104 - bridges come and go
        self.port: int = self._socket.getsockname()[1]
        loop.watch(self._socket, READ, self._ready)
        self._out: socket.socket | None = None
        self._waiting: dict[int, _Asked] = {}

    def _ready(self, _: int) -> None:
        with contextlib.suppress(BlockingIOError):
            for _ in range(64):
                packet, client = self._socket.recvfrom(4096)
                reply = self._reply(packet, client)
                if reply:
                    self._socket.sendto(reply, client)

    def _reply(self, packet: bytes, client: tuple[str, int]) -> bytes:
        server = self._locate(client[0])
        question = wire.parse(packet)
        if server is None or question is None:
            return b""
        policy = self._board.policies.get(server)
        if policy and policy.mode == "open" and not policy.knows(question.name):
            self._pass_on(packet, question, client)
            return b""
        if policy is None or not policy.knows(question.name):
            self._deny(server, question)
            if not self._board.answers(server, question.name):
                return wire.answer(question, wire.NO_SUCH_NAME)
        if question.type not in {wire.A, wire.ANY}:
            return wire.answer(question)
        address, is_new = self._board.ask(server, question.name)
        if is_new:
            self._allow(server, address)
        return wire.answer(question, address=address)

    def _deny(self, server: int, question: wire.Question) -> None:
        if question.name.endswith(_BACKWARDS) and question.type_name == "PTR":
            return
        self._records.add(
            Attempt(server, question.name, 0, "dns", allowed=False),
            reason=f"the name is not allowed ({question.type_name})",
        )

    # -- servers that may go anywhere

    def _pass_on(
        self, packet: bytes, question: wire.Question, client: tuple[str, int]
    ) -> None:
        if self._out is None:
            self._out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self._out.settimeout(0)
            self._loop.watch(self._out, READ, self._answered)
        now = time.monotonic()
        if len(self._waiting) >= WAITING:
            late = now - ANSWER_WITHIN_S
            self._waiting = {k: v for k, v in self._waiting.items() if v.at > late}
        if len(self._waiting) >= WAITING:
            return
        # Nobody on the way may guess under which number an answer is expected.
        number = int.from_bytes(os.urandom(2), "big")
        self._waiting[number] = _Asked(client, question.id, now)
        with contextlib.suppress(OSError):
            self._out.sendto(number.to_bytes(2, "big") + packet[2:], (upstream(), 53))

    def _answered(self, _: int) -> None:
        with contextlib.suppress(OSError):
            while self._out:
                packet, (address, port) = self._out.recvfrom(65535)
                asked = self._waiting.pop(int.from_bytes(packet[:2], "big"), None)
                if asked and port == 53 and address == upstream():  # noqa: PLR2004 - DNS
                    reply = asked.id.to_bytes(2, "big") + packet[2:]
                    self._socket.sendto(reply, asked.client)
