"""TLS as a stranger tries it: first messages made byte by byte, so that this box's own library leaves nothing out."""

import contextlib
import os
import socket
import ssl
import struct
from dataclasses import dataclass
from pathlib import Path

TLS_1_0, TLS_1_1, TLS_1_2 = 0x0301, 0x0302, 0x0303
SSL_3 = 0x0300
#: All suites up to TLS 1.2 that were ever given a number, but those that are signals.
SUITES = (
    *(item for item in range(0x0001, 0x00FF)),
    *range(0xC001, 0xC100),
    *range(0xCCA8, 0xCCAF),
)
_ALERT, _HANDSHAKE = 21, 22
_SERVER_HELLO, _CERTIFICATE = 2, 11
_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class Hello:
    """What a server said first; all ``None``: it refused."""

    version: int | None = None
    suite: int | None = None
    compression: int | None = None
    #: DER.
    certificate: bytes | None = None
    #: Whether it knows secure renegotiation (RFC 5746).
    is_renegotiation_safe: bool = False
    alert: int | None = None


def hello(
    port: int,
    *,
    version: int = TLS_1_2,
    suites: tuple[int, ...] = SUITES,
    asked: bytes | None = None,
    compressions: bytes = b"\x00",
) -> Hello:
    """Say hello to a server on loopback and return what it answers.

    Args:
        asked: For which name, whatever bytes these are.
    """
    with socket.create_connection(("127.0.0.1", port), timeout=_TIMEOUT_S) as wire:
        wire.sendall(_client_hello(version, suites, asked, compressions))
        return _understood(_read(wire))


def accepted_suites(port: int, version: int = TLS_1_2) -> list[int]:
    """Return all suites that a server takes, by offering those again that it did not choose."""
    left, found = list(SUITES), []
    while (
        chosen := hello(port, version=version, suites=tuple(left)).suite
    ) is not None:
        found.append(chosen)
        left.remove(chosen)
    return found


def suite_names() -> dict[int, str]:
    """Return what OpenSSL calls the suites that it knows, by number."""
    context = ssl.create_default_context()
    context.set_ciphers("ALL:COMPLEMENTOFALL:@SECLEVEL=0")
    return {item["id"] & 0xFFFF: item["name"] for item in context.get_ciphers()}


def is_resumed(port: int, name: str, root: Path, version: ssl.TLSVersion) -> bool:
    """Return whether a second connection goes on with the first one's secrets."""
    context = ssl.create_default_context(cafile=str(root))
    context.minimum_version = context.maximum_version = version
    session: ssl.SSLSession | None = None
    was: bool | None = None
    for _ in range(2):
        raw = socket.create_connection(("127.0.0.1", port), timeout=_TIMEOUT_S)
        with context.wrap_socket(raw, server_hostname=name, session=session) as wire:
            request = f"GET / HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n"
            wire.sendall(request.encode())
            with contextlib.suppress(ssl.SSLError, ConnectionError):
                while wire.recv(4096):
                    pass  # what resumes comes after the handshake in TLS 1.3
            session, was = wire.session, wire.session_reused
    return bool(was)


def _client_hello(
    version: int, suites: tuple[int, ...], asked: bytes | None, compressions: bytes
) -> bytes:
    signatures = (
        0x0403,
        0x0503,
        0x0603,
        0x0804,
        0x0805,
        0x0806,
        0x0401,
        0x0501,
        0x0201,
    )
    extensions = _extension(
        10, _list(b"".join(_two(item) for item in (29, 23, 24, 25)))
    )
    extensions += _extension(11, b"\x01\x00")
    extensions += _extension(13, _list(b"".join(_two(item) for item in signatures)))
    extensions += _extension(0xFF01, b"\x00")
    if asked is not None:
        extensions += _extension(0, _list(b"\x00" + _list(asked)))
    body = (
        _two(version)
        + os.urandom(32)
        + b"\x00"
        + _list(b"".join(_two(item) for item in suites))
        + bytes([len(compressions)])
        + compressions
        + _list(extensions)
    )
    message = b"\x01" + struct.pack(">I", len(body))[1:] + body
    return bytes([_HANDSHAKE]) + _two(min(version, TLS_1_0)) + _list(message)


def _two(number: int) -> bytes:
    return struct.pack(">H", number)


def _list(data: bytes) -> bytes:
    return _two(len(data)) + data


def _extension(kind: int, data: bytes) -> bytes:
    return _two(kind) + _list(data)


def _read(wire: socket.socket) -> bytes:
    """Return what comes until the server is done with its part, or goes."""
    found = b""
    with contextlib.suppress(TimeoutError, ConnectionError):
        while piece := wire.recv(16384):
            found += piece
            # ServerHelloDone is the last of a flight, and four bytes in a record.
            if found[:1] == bytes([_ALERT]) or b"\x0e\x00\x00\x00" in found[-4:]:
                break
    return found


def _understood(data: bytes) -> Hello:
    messages = b""
    while len(data) >= 5:
        kind, _, length = struct.unpack(">BHH", data[:5])
        body, data = data[5 : 5 + length], data[5 + length :]
        if kind == _ALERT:
            return Hello(alert=body[1] if len(body) > 1 else None)
        if kind == _HANDSHAKE:
            messages += body
    return _from_messages(messages)


def _from_messages(data: bytes) -> Hello:
    version = suite = compression = certificate = None
    is_safe = False
    while len(data) >= 4:
        kind, length = data[0], int.from_bytes(data[1:4], "big")
        body, data = data[4 : 4 + length], data[4 + length :]
        if kind == _SERVER_HELLO:
            after = 35 + body[34]
            version = int.from_bytes(body[:2], "big")
            suite = int.from_bytes(body[after : after + 2], "big")
            compression = body[after + 2]
            is_safe = b"\xff\x01\x00\x01\x00" in body[after + 3 :]
        elif kind == _CERTIFICATE:
            size = int.from_bytes(body[3:6], "big")
            certificate = body[6 : 6 + size]
    return Hello(version, suite, compression, certificate, is_safe)
