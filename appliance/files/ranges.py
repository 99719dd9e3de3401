"""Which part of a file is asked for: ``Range`` and ``If-Range`` of RFC 9110. Pure."""

import re
from dataclasses import dataclass

from appliance.core.errors import InvalidError

_SPEC = re.compile(r"bytes[ \t]*=[ \t]*(\d*)-(\d*)", re.IGNORECASE)
#: Digits of a number that a file's size could have.
_DIGITS = 18


class RangeError(InvalidError):
    """Nothing of the file lies in the range.

    Args:
        size_bytes: Of the whole file.
    """

    code = "range_not_satisfiable"

    def __init__(self, size_bytes: int) -> None:
        """Keep the size."""
        super().__init__(f"The file has {size_bytes} bytes, none of them in the range.")
        self.size_bytes = size_bytes


@dataclass(frozen=True)
class Part:
    """A part of a file; all of it when nobody asked for less."""

    offset: int
    length: int
    is_whole: bool

    def content_range(self, size_bytes: int) -> str:
        """Return the value of ``Content-Range``."""
        return f"bytes {self.offset}-{self.offset + self.length - 1}/{size_bytes}"


def etag_of(tag: str) -> str:
    """Return a strong validator."""
    return f'"{tag}"'


def part_of(header: str, if_range: str, *, size_bytes: int, etag: str) -> Part:
    """Return what to send.

    Several ranges, other units and what cannot be read are answered with the whole file, as the RFC allows; so is a
    range of a file that is no longer the one that ``if_range`` names. A date there names none: two changes may fall
    into one second.

    Raises:
        RangeError: The file ends before the range begins.
    """
    whole = Part(0, size_bytes, is_whole=True)
    found = _SPEC.fullmatch(header.strip()) if len(header) <= 4 * _DIGITS else None
    if found is None or (if_range and if_range.strip() != etag):
        return whole
    first, last = found.groups()
    if not first and not last:
        return whole
    if not first:
        length = min(int(last), size_bytes)
        offset = size_bytes - length
    else:
        offset = int(first)
        end = min(int(last), size_bytes - 1) if last else size_bytes - 1
        if last and int(last) < offset:
            return whole
        length = end - offset + 1
    if length <= 0:
        raise RangeError(size_bytes)
    return Part(offset, length, is_whole=False)


def is_unchanged(if_none_match: str, etag: str) -> bool:
    """Tell whether the caller has the file already."""
    if if_none_match.strip() == "*":
        return True
    held = {item.strip().removeprefix("W/") for item in if_none_match.split(",")}
    return etag in held
