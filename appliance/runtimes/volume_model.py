"""What a server's volume holds, as the one who looks into it sees it.

Names are text as Python has it from the file system: bytes that are no UTF-8 are lone surrogates (``os.fsdecode``).
"""

from dataclasses import dataclass
from enum import StrEnum

#: The names of the folders on the way, and then its own; empty: the volume itself.
Parts = tuple[str, ...]


@dataclass(frozen=True)
class VolumeOwner:
    """Whose volume it is, and as whom its files are looked at."""

    server_id: int
    #: What the server runs, by which its user is known.
    image: str
    #: Whether a user of the image's that is root stays so.
    may_be_root: bool = False
    #: Size that the volume has; ``None``: as it is, or by default.
    data_bytes: int | None = None


class EntryKind(StrEnum):
    """What a name stands for. Only files and folders can be looked into; everything can be removed."""

    FOLDER = "folder"
    FILE = "file"
    LINK = "link"
    PIPE = "pipe"
    SOCKET = "socket"
    DEVICE = "device"


@dataclass(frozen=True)
class Entry:
    """One name in a volume."""

    name: str
    kind: EntryKind
    #: Of a file; 0 of anything else.
    size_bytes: int
    #: Nanoseconds since 1970.
    modified_ns: int
    #: Changes with every change of the content.
    tag: str
    #: What a link says, which is never followed.
    target: str = ""


@dataclass(frozen=True)
class ListFrom:
    """Behind which entry a list goes on; folders come first, then everything else, each by the bytes of their names."""

    is_folder: bool
    name: str


@dataclass(frozen=True)
class Listing:
    """A part of a folder."""

    entries: tuple[Entry, ...]
    #: Where the next part begins; ``None``: there is none.
    more: ListFrom | None
    #: Entries of the whole folder.
    total: int


@dataclass(frozen=True)
class Incoming:
    """What is said of a file before it comes."""

    overwrite: bool = False
    #: Whether missing folders on the way are made.
    parents: bool = False
    #: Bytes that it may have.
    limit_bytes: int = 0
    #: Bytes that it is said to have; ``None``: nobody said.
    size_bytes: int | None = None
    #: SHA-256 that it must have, in hex; empty: any.
    sha256: str = ""


@dataclass(frozen=True)
class Usage:
    """How full a volume is."""

    entries: int
    used_bytes: int
    #: What the disk below it has left.
    free_bytes: int


class Refusal(StrEnum):
    """Why something cannot be done in a volume."""

    MISSING = "missing"
    NOT_A_FOLDER = "not_a_folder"
    NOT_A_FILE = "not_a_file"
    IS_A_FOLDER = "is_a_folder"
    EXISTS = "exists"
    NOT_EMPTY = "not_empty"
    FULL = "full"
    OVER_LIMIT = "over_limit"
    CHECKSUM = "checksum"
    DENIED = "denied"
    TOO_LONG = "too_long"
    BAD_NAME = "bad_name"
    INTO_ITSELF = "into_itself"
    FAILED = "failed"
