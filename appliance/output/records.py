r"""How a line lies in a file: ``moment stream deployment container session text\n``. Pure.

One line a record, so that whatever reads lines can read the files, and a record that was torn by a crash is the one
without its end.
"""

import zlib
from collections.abc import Callable

from appliance.output.model import Filter, Printed, Stream, nanoseconds

#: A mark of how far a container was read; no line.
CHECKPOINT = b"c"
_CODES = {Stream.STDOUT: "o", Stream.STDERR: "e", Stream.NOTE: "n"}
_STREAMS = {code.encode(): stream for stream, code in _CODES.items()}
_FIELDS = 6

Matches = Callable[[bytes], bool]


def encode(line: Printed) -> bytes:
    """Return the record of a line."""
    text = line.text.replace("\n", " ")
    return (
        f"{line.at_ns} {_CODES[line.stream]} {line.deployment_id} {line.container} {line.session or '-'} {text}\n"
    ).encode("utf-8", "replace")


def decode(record: bytes) -> Printed | None:
    """Return the line of a record, without its end; ``None`` for a checkpoint and for what is no record."""
    parts = record.split(b" ", _FIELDS - 1)
    if len(parts) != _FIELDS:
        return None
    stream = _STREAMS.get(parts[1])
    if stream is None or not parts[0].isdigit() or not parts[2].isdigit():
        return None
    session = parts[4].decode("ascii", "replace")
    return Printed(
        int(parts[0]),
        stream,
        parts[5].decode("utf-8", "replace"),
        int(parts[2]),
        parts[3].decode("ascii", "replace"),
        "" if session == "-" else session,
    )


def fingerprint(text: str) -> int:
    """Return what tells a text from others printed in the same nanosecond."""
    return zlib.crc32(text.encode("utf-8", "replace"))


def checkpoint(container: str, at_ns: int, fingerprints: frozenset[int]) -> bytes:
    """Return the record of how far a container was read."""
    known = ",".join(map(str, sorted(fingerprints)))
    return f"{at_ns} c 0 {container} - {known}\n".encode()


def read_checkpoint(record: bytes) -> tuple[str, int, frozenset[int]] | None:
    """Return container, moment and fingerprints of a checkpoint; ``None`` if the record is none."""
    parts = record.split(b" ", _FIELDS - 1)
    if len(parts) != _FIELDS or parts[1] != CHECKPOINT or not parts[0].isdigit():
        return None
    known = frozenset(int(item) for item in parts[5].split(b",") if item.isdigit())
    return parts[3].decode("ascii", "replace"), int(parts[0]), known


def matcher(wanted: Filter) -> Matches:
    """Return what tells whether a record is a line that is wanted; cheap for those that are not."""
    code = _CODES[wanted.stream].encode() if wanted.stream else None
    deployment = str(wanted.deployment_id).encode() if wanted.deployment_id else None
    session = wanted.session.encode()
    since = nanoseconds(wanted.since) if wanted.since else 0
    until = nanoseconds(wanted.until) if wanted.until else None
    has_text = _text_matcher(wanted.text)

    def matches(record: bytes) -> bool:
        parts = record.split(b" ", _FIELDS - 1)
        return (
            len(parts) == _FIELDS
            and parts[1] != CHECKPOINT
            and code in {None, parts[1]}
            and deployment in {None, parts[2]}
            and parts[4].startswith(session)
            and has_text(parts[5])
            and _is_within(parts[0], since, until)
        )

    return matches


def _is_within(digits: bytes, since: int, until: int | None) -> bool:
    return (
        digits.isdigit()
        and since <= int(digits)
        and (until is None or int(digits) < until)
    )


def _text_matcher(text: str) -> Matches:
    if not text:
        return lambda _text: True
    if text.isascii():
        needle = text.lower().encode()
        return lambda found: needle in found.lower()
    folded = text.casefold()
    return lambda found: folded in found.decode("utf-8", "replace").casefold()
