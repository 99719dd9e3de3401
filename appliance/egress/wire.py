"""Questions and answers of DNS, as far as they are answered here. Pure."""

import socket
import struct
from dataclasses import dataclass

A = 1
ANY = 255
INTERNET = 1
#: Of answers; short, because a policy may change.
TTL_S = 30
NO_ERROR, NO_SUCH_NAME, NOT_IMPLEMENTED, REFUSED = 0, 3, 4, 5
TYPES = {1: "A", 2: "NS", 5: "CNAME", 12: "PTR", 15: "MX", 16: "TXT", 28: "AAAA"} | {
    33: "SRV",
    35: "NAPTR",
    65: "HTTPS",
    255: "ANY",
    10: "NULL",
}
_HEADER = struct.Struct("!HHHHHH")
_QUESTION = struct.Struct("!HH")
_MAX_LABEL = 63
_MAX_NAME = 253


@dataclass(frozen=True)
class Question:
    """What was asked."""

    id: int
    flags: int
    #: Lower case, without the dot at the end; what is not printable as \\xNN.
    name: str
    type: int
    #: As it came, to be sent back.
    raw: bytes

    @property
    def type_name(self) -> str:
        """The type in words: ``A``, ``TXT``, …."""
        return TYPES.get(self.type, str(self.type))


def parse(packet: bytes) -> Question | None:
    """Return the one question of a packet; ``None``: it asks nothing that could be answered."""
    if len(packet) < _HEADER.size:
        return None
    number, flags, questions, *_ = _HEADER.unpack_from(packet)
    if flags & 0x8000 or questions != 1:
        return None
    labels, place = [], _HEADER.size
    while place < len(packet) and (length := packet[place]):
        if length > _MAX_LABEL:
            return None
        labels.append(packet[place + 1 : place + 1 + length])
        place += 1 + length
    end = place + 1 + _QUESTION.size
    if end > len(packet):
        return None
    kind, _ = _QUESTION.unpack_from(packet, place + 1)
    name = ".".join(_printable(label) for label in labels).lower()
    return Question(number, flags, name[:_MAX_NAME], kind, packet[_HEADER.size : end])


def _printable(label: bytes) -> str:
    return "".join(
        chr(sign) if 0x21 <= sign <= 0x7E and sign not in b".\\" else f"\\x{sign:02x}"  # noqa: PLR2004 - ASCII
        for sign in label
    )


def answer(question: Question, code: int = NO_ERROR, address: str = "") -> bytes:
    """Return the answer: an address where there is one, else only the code."""
    # An answer, recursion as desired, "recursion available": some clients want to see it.
    flags = 0x8080 | (question.flags & 0x7900) | code
    head = _HEADER.pack(question.id, flags, 1, 1 if address else 0, 0, 0)
    record = (
        b"\xc0\x0c"
        + struct.pack("!HHIH", A, INTERNET, TTL_S, 4)
        + socket.inet_aton(address)
        if address
        else b""
    )
    return head + question.raw + record
