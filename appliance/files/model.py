"""Whose files, and what is said of them."""

from dataclasses import dataclass

from appliance.runtimes.volume_model import Entry, Listing, Parts, VolumeOwner


@dataclass(frozen=True)
class Place:
    """The files of one server, as whoever may see or change the server knows it."""

    server_id: int
    server_name: str
    #: What it runs, by which the owner of its files is known; empty: nothing was built yet.
    image: str
    #: Whether it runs elsewhere, and has no ``/data`` here.
    is_remote: bool = False
    may_be_root: bool = False
    #: What may lie in its ``/data``; ``None``: as the box's settings say.
    quota_bytes: int | None = None

    @property
    def owner(self) -> VolumeOwner:
        """Whose volume is opened, and as whom."""
        return VolumeOwner(
            self.server_id, self.image, self.may_be_root, self.quota_bytes
        )


@dataclass(frozen=True)
class Fullness:
    """How full a server's ``/data`` is."""

    used_bytes: int
    quota_bytes: int
    #: What may still be brought: less than the rest of the quota where the disk has less.
    free_bytes: int
    entries: int


@dataclass(frozen=True)
class Folder:
    """A part of a folder's list."""

    path: Parts
    listing: Listing
    #: Only with a list's first part: to find out, every folder is read.
    fullness: Fullness | None


@dataclass(frozen=True)
class Stored:
    """A file that was brought, or looked at whole."""

    path: Parts
    entry: Entry
    #: In hex; empty: not asked for.
    sha256: str
