"""A shell of this box that runs anywhere, since it needs nothing beside it. Blocking."""

import struct
from pathlib import Path

#: Where Debian and its relatives put busybox-static.
_PLACES = (Path("/bin/busybox"), Path("/usr/bin/busybox"), Path("/sbin/busybox"))
_MAGIC = b"\x7fELF"
_CLASS_64, _LITTLE = 2, 1
_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_INTERPRETER = 3
#: The table of a program's parts stands at its beginning.
_BEGINNING_BYTES = 64 * 1024


def static_shell() -> Path | None:
    """Return the path of a statically linked busybox, without links; ``None``: there is none."""
    for place in _PLACES:
        try:
            with place.open("rb") as file:
                if is_static(file.read(_BEGINNING_BYTES)):
                    return place.resolve()
        except OSError:
            continue
    return None


def is_static(program: bytes) -> bool:
    """Return whether the beginning of a program names no loader that would have to be there.

    ``False`` unless it is of 64 bits, little endian.
    """
    if len(program) < _HEADER.size or program[:4] != _MAGIC:
        return False
    if program[4] != _CLASS_64 or program[5] != _LITTLE:
        return False
    fields = _HEADER.unpack_from(program)
    start, size, count = fields[5], fields[9], fields[10]
    if start + size * count > len(program):
        return False
    kinds = [
        struct.unpack_from("<I", program, start + number * size)[0]
        for number in range(count)
    ]
    return _INTERPRETER not in kinds
