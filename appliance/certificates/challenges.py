"""What an authority wants to see before it issues, and which way is used for which name."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class ChallengeKind(StrEnum):
    """The way in which a name is shown to be ours."""

    HTTP = "http-01"
    DNS = "dns-01"


@dataclass(frozen=True)
class Challenge:
    """One thing that is to be shown."""

    kind: ChallengeKind
    #: The name, with ``*.`` for a wildcard.
    name: str
    #: Of the file, or of the record.
    label: str
    #: What it holds.
    value: str
    #: As the ACME library knows it.
    body: Any = None
    #: Of the authorization that it belongs to.
    uri: str = ""


@dataclass(frozen=True)
class Ways:
    """Which ways there are on this box, as the settings say."""

    #: ``auto``, or the one way that is used.
    wanted: str
    can_set_records: bool
    base_domain: str | None

    def kind_for(self, name: str) -> ChallengeKind:
        """Return the way for ``name``: records for wildcards and for the box's own zone, else files."""
        if name.startswith("*."):
            return ChallengeKind.DNS
        if self.wanted != "auto":
            return ChallengeKind(self.wanted)
        base = self.base_domain
        is_ours = base is not None and (name == base or name.endswith(f".{base}"))
        return (
            ChallengeKind.DNS
            if is_ours and self.can_set_records
            else ChallengeKind.HTTP
        )

    def obstacle(self, names: tuple[str, ...]) -> str:
        """Return why ``names`` cannot be shown to be ours; empty: they can."""
        wild = [name for name in names if name.startswith("*.")]
        if wild and not self.can_set_records:
            return f"A certificate for {wild[0]} needs dns-01: set ACME_DNS_HOOK or ACME_DNS_SERVER."
        return ""
