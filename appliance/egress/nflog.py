"""What the firewall denied, as the kernel tells it: NFLOG, one packet's head a message."""

import contextlib
import errno
import os
import socket
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from appliance.egress.errors import NoRightsError

NETLINK_NETFILTER = 12
_ULOG = 4 << 8
_PACKET, _CONFIG = _ULOG | 0, _ULOG | 1
_REQUEST_ACK = 1 | 4
_COMMAND, _MODE = 1, 2
_BIND = b"\1"
_COPY_PACKET = 2
#: Of a packet: addresses and ports.
_HEAD_BYTES = 64
_INTERFACE, _PAYLOAD = 4, 9
_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_GROUPS = range(4700, 4800)
PROTOCOLS = {1: "icmp", 6: "tcp", 17: "udp"}
_WITH_PORTS = {6, 17, 132}
_IPV4 = 4


@dataclass(frozen=True)
class Denied:
    """One packet."""

    interface: int
    protocol: str
    destination: str
    #: 0: the protocol has none.
    port: int


class PacketLog:
    """A socket bound to a group of NFLOG that nobody else reads."""

    def __init__(self) -> None:
        """Bind it.

        Raises:
            NoRightsError: The kernel does not let this process.
        """
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER
        )
        self._socket.bind((0, 0))
        self.group = 0
        self._bind()
        self._configure(_MODE, struct.pack("!IBB", _HEAD_BYTES, _COPY_PACKET, 0))
        self._socket.settimeout(0)

    def fileno(self) -> int:
        """Return the socket's descriptor."""
        return self._socket.fileno()

    def _bind(self) -> None:
        # Two appliances on one box begin at different places.
        start = os.getpid() % len(_GROUPS)
        for group in (*_GROUPS[start:], *_GROUPS[:start]):
            self.group = group
            if not (code := self._configure(_COMMAND, _BIND)):
                return
            # Busy: another program's.
            if code != -errno.EBUSY:
                raise NoRightsError(f"NFLOG: {os.strerror(-code)}")
        raise NoRightsError("every NFLOG group is taken")

    def _configure(self, kind: int, value: bytes) -> int:
        """Send one request and return the kernel's answer, 0 or a negative errno."""
        length = _ATTRIBUTE.size + len(value)
        body = struct.pack("!BBH", 0, 0, self.group)
        body += _ATTRIBUTE.pack(length, kind) + value + b"\0" * (-length % 4)
        head = _HEADER.pack(_HEADER.size + len(body), _CONFIG, _REQUEST_ACK, 1, 0)
        self._socket.send(head + body)
        said: bytes = self._socket.recv(4096)[_HEADER.size :][:4]
        return int.from_bytes(said, sys.byteorder, signed=True)

    def read(self) -> list[Denied]:
        """Return what came; never blocks."""
        found: list[Denied] = []
        # ENOBUFS: the kernel dropped messages, and the next ones come again.
        with contextlib.suppress(OSError):
            while True:
                found += _messages(self._socket.recv(65536))
        return found


def _messages(data: bytes) -> Iterator[Denied]:
    place = 0
    while place + _HEADER.size <= len(data):
        length, kind, *_ = _HEADER.unpack_from(data, place)
        if length < _HEADER.size:
            return
        if kind == _PACKET and (
            found := _denied(data[place + _HEADER.size + 4 : place + length])
        ):
            yield found
        place += (length + 3) & ~3


def _denied(attributes: bytes) -> Denied | None:
    interface, packet, place = 0, b"", 0
    while place + _ATTRIBUTE.size <= len(attributes):
        length, kind = _ATTRIBUTE.unpack_from(attributes, place)
        if length < _ATTRIBUTE.size:
            break
        value = attributes[place + _ATTRIBUTE.size : place + length]
        if kind & 0x7FFF == _INTERFACE:
            interface = int.from_bytes(value, "big")
        elif kind & 0x7FFF == _PAYLOAD:
            packet = value
        place += (length + 3) & ~3
    return parse_packet(interface, packet)


def parse_packet(interface: int, packet: bytes) -> Denied | None:
    """Return where an IPv4 packet wanted to go; ``None``: it is no such."""
    if len(packet) < 20 or packet[0] >> 4 != _IPV4:  # noqa: PLR2004 - bytes of its head
        return None
    number, size = packet[9], (packet[0] & 15) * 4
    has_port = number in _WITH_PORTS and len(packet) >= size + 4
    port = int.from_bytes(packet[size + 2 : size + 4], "big") if has_port else 0
    return Denied(
        interface,
        PROTOCOLS.get(number, f"ip-{number}"),
        socket.inet_ntoa(packet[16:20]),
        port,
    )
