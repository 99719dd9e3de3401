"""A DNS server with made-up names, on a loopback port of its own, inside the test's process."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import cast

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

_TTL = 1


class Zone(asyncio.DatagramProtocol):
    """What is asked is looked up in ``records``; a name that has none does not exist."""

    def __init__(self) -> None:
        self.records: dict[tuple[str, str], list[str]] = {}
        #: Names for which nothing can be answered.
        self.broken: set[str] = set()
        self.asked: list[tuple[str, str]] = []
        self.port = 0
        self._transport: asyncio.DatagramTransport | None = None

    def set(self, name: str, kind: str, *values: str) -> None:
        """Give a name records of a kind, instead of those before; no values: none."""
        self.records.pop((name, kind), None)
        if values:
            self.records[name, kind] = list(values)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # It is one in all but its class.
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        query = dns.message.from_wire(data)
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.RA
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True).lower()
        kind = dns.rdatatype.to_text(question.rdtype)
        self.asked.append((name, kind))
        if name in self.broken:
            answer.set_rcode(dns.rcode.SERVFAIL)
        elif not self._answer(answer, name, kind):
            answer.set_rcode(dns.rcode.NXDOMAIN)
        assert self._transport is not None
        self._transport.sendto(answer.to_wire(), addr)

    def _answer(self, answer: dns.message.Message, name: str, kind: str) -> bool:
        while target := self.records.get((name, "CNAME")):
            answer.answer.append(_rrset(name, "CNAME", [f"{target[0]}."]))
            name = target[0]
        found = self.records.get((name, kind)) or self.records.get(
            (f"*.{name.partition('.')[2]}", kind)
        )
        if found:
            shown = [f'"{item}"' for item in found] if kind == "TXT" else found
            answer.answer.append(_rrset(name, kind, shown))
        return bool(found) or any(known == name for known, _ in self.records)


def _rrset(name: str, kind: str, values: list[str]) -> dns.rrset.RRset:
    return dns.rrset.from_text_list(f"{name}.", _TTL, "IN", kind, values)


@contextlib.asynccontextmanager
async def zone(port: int = 0) -> AsyncIterator[Zone]:
    """Yield a server that knows no name yet."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listener.bind(("127.0.0.1", port))
    transport, made = await asyncio.get_running_loop().create_datagram_endpoint(
        Zone, sock=listener
    )
    made.port = listener.getsockname()[1]
    try:
        yield made
    finally:
        transport.close()
