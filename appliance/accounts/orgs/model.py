"""What an organisation is, and who belongs to it."""

from dataclasses import dataclass
from datetime import datetime

from appliance.accounts.access import Kind, Thing
from appliance.accounts.model import MemberRole

#: Names of one kind that a sentence takes.
MAX_NAMED = 5


@dataclass(frozen=True)
class Org:
    """People who share servers and bundles."""

    id: int
    #: In addresses and commands.
    name: str
    #: For people; empty: the name.
    title: str
    #: How many servers it may have; ``None``: any number.
    server_quota: int | None
    created_by: str
    created_at: datetime

    @property
    def called(self) -> str:
        """What people call it."""
        return self.title or self.name

    @property
    def thing(self) -> Thing:
        """What it is to whoever decides who may do what."""
        return Thing(Kind.ORG, self.id, org_id=self.id)


@dataclass(frozen=True)
class Member:
    """Somebody who belongs to an organisation."""

    org_id: int
    user_id: int
    email: str
    role: MemberRole
    added_by: str
    added_at: datetime


@dataclass(frozen=True)
class Invitation:
    """A link by which one person may join; the link itself is known only to whoever was shown it."""

    id: int
    org_id: int
    role: MemberRole
    #: For whom it is.
    note: str
    created_by: str
    created_at: datetime
    expires_at: datetime


@dataclass(frozen=True)
class Holdings:
    """What belongs to a person or an organisation."""

    servers: int = 0
    bundles: int = 0
    #: Names of tracks along which versions are promoted, and of workflows that decide about it.
    tracks: tuple[str, ...] = ()
    workflows: tuple[str, ...] = ()

    @property
    def is_nothing(self) -> bool:
        """Whether there is nothing."""
        return not self.told

    @property
    def told(self) -> str:
        """What there is, for people; empty: nothing."""
        parts = [
            f"{count} {word}" if count == 1 else f"{count} {word}s"
            for word, count in (("server", self.servers), ("bundle", self.bundles))
            if count
        ]
        parts += [
            f"the {word if len(names) == 1 else word + 's'} {', '.join(names[:MAX_NAMED])}"
            + (f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else "")
            for word, names in (("track", self.tracks), ("workflow", self.workflows))
            if names
        ]
        return "; ".join(parts)


@dataclass(frozen=True)
class OrgView:
    """An organisation as somebody sees it."""

    org: Org
    #: What they are in it; ``None``: they do not belong to it.
    role: MemberRole | None
    members: int
    holdings: Holdings


@dataclass(frozen=True)
class Owner:
    """To whom something belongs."""

    #: The person, or who brought it where it is an organisation's.
    user_id: int
    org_id: int | None
    #: As people are told: an address, or an organisation's name.
    name: str
    #: How many servers may belong to them; ``None``: any number.
    server_quota: int | None = None


@dataclass(frozen=True)
class Transferred:
    """What became of a transfer; transferring back to ``before`` undoes it."""

    before: Owner
    after: Owner
