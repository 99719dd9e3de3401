"""A small DNS server that takes signed updates (RFC 2136, TSIG), in the place of a BIND; every host leads to 127.0.0.1."""

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator
from typing import Any

import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import dns.tsig
import dns.tsigkeyring
import dns.update

from tests.harness.ports import free_port

KEY_NAME, KEY_SECRET = "box.", "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IHNlY3I="


class DnsStandIn:
    """One zone, in memory."""

    def __init__(self, zone: str) -> None:
        self.zone = dns.name.from_text(zone)
        self.port = free_port()
        self.records: dict[dns.name.Name, set[str]] = {}
        #: How many updates were taken, and how many refused.
        self.taken = 0
        self.refused = 0
        self._keys = dns.tsigkeyring.from_text({KEY_NAME: KEY_SECRET})

    @property
    def address(self) -> str:
        """``host:port``."""
        return f"127.0.0.1:{self.port}"

    def answer(self, wire: bytes) -> bytes:
        """Return the answer to one message."""
        try:
            asked = dns.message.from_wire(wire, keyring=self._keys)
        except (dns.message.UnknownTSIGKey, dns.tsig.BadSignature):
            self.refused += 1
            # NOTAUTH, and nothing else.
            return wire[:2] + struct.pack("!HHHHH", 0xA809, 0, 0, 0, 0)
        answer = dns.message.make_response(asked)
        answer.flags |= dns.flags.AA
        if asked.opcode() == dns.opcode.UPDATE:
            self._update(asked, answer)
        else:
            self._look(asked, answer)
        return answer.to_wire()

    def _update(self, asked: Any, answer: Any) -> None:
        if not asked.had_tsig:
            self.refused += 1
            answer.set_rcode(dns.rcode.REFUSED)
            return
        for change in asked.update:
            values = self.records.setdefault(change.name, set())
            for item in change:
                text = b"".join(item.strings).decode()
                if change.deleting is None:
                    values.add(text)
                else:
                    values.discard(text)
        self.taken += 1

    def _look(self, asked: Any, answer: Any) -> None:
        question = asked.question[0]
        name, kind = question.name, question.rdtype
        if kind == dns.rdatatype.TXT and self.records.get(name):
            texts = [f'"{text}"' for text in sorted(self.records[name])]
            answer.answer.append(dns.rrset.from_text(name, 0, "IN", "TXT", *texts))
        elif kind == dns.rdatatype.A:
            answer.answer.append(dns.rrset.from_text(name, 0, "IN", "A", "127.0.0.1"))
        elif kind == dns.rdatatype.SOA and name == self.zone:
            soa = f"ns.{self.zone} ops.{self.zone} 1 2 3 4 5"
            answer.answer.append(dns.rrset.from_text(name, 0, "IN", "SOA", soa))


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: DnsStandIn) -> None:
        self._server = server
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self._transport.sendto(self._server.answer(data), addr)


@contextlib.asynccontextmanager
async def dns_stand_in(zone: str) -> AsyncIterator[DnsStandIn]:
    """Answer for ``zone``, by UDP and TCP, until the end of the block."""
    server = DnsStandIn(zone)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                (size,) = struct.unpack("!H", await reader.readexactly(2))
                said = server.answer(await reader.readexactly(size))
                writer.write(struct.pack("!H", len(said)) + said)
        writer.close()

    loop = asyncio.get_running_loop()
    listening = await asyncio.start_server(talk, "127.0.0.1", server.port)
    transport, _ = await loop.create_datagram_endpoint(
        lambda: _Datagrams(server), local_addr=("127.0.0.1", server.port)
    )
    try:
        yield server
    finally:
        transport.close()
        listening.close()
