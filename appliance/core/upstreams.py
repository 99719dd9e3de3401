"""What hub and gateway must say alike about accounts at remote servers. Pure.

A remote server may want to know who calls it. Then each *account* has a token of its own: a person's, or the one that all
share. The hub gets tokens and renews them; they lie in memory, a file each, where the gateway reads them; and the gateway
tells the hub when one is wanted anew.
"""

import json
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import Any

#: NOTIFY by the gateway; the payload is a ``Wish``.
CHANNEL = "upstreams"
#: The directory of the files.
TOKENS = "tokens"
#: The account that everybody uses.
SHARED = "shared"
#: The page of a server where people connect theirs, behind the server's own address.
PAGE_TAIL = "/account"


class Mode(StrEnum):
    """Whose account a call uses."""

    #: The caller's own.
    EACH = "each"
    #: The one that everybody shares.
    SHARED = "shared"


def account_of(mode: str, principal: str) -> str:
    """Return the account that a principal's calls use; one that has no token can be named, too."""
    return SHARED if mode == Mode.SHARED else principal


def account_of_user(user_id: int | None) -> str:
    """Return the account of a person; ``None``: the one that everybody shares."""
    return SHARED if user_id is None else f"user:{user_id}"


def file_name(server_id: int, account: str) -> str:
    """Return the name of the file in which an account's token lies."""
    return f"{server_id}.{account.replace(':', '-')}"


@dataclass(frozen=True)
class Token:
    """An access token as the gateway gets it."""

    value: str
    #: Seconds since the epoch; ``None``: nobody knows.
    expires_at: float | None
    #: Counts up with every new one.
    serial: int
    #: How often it was tried to renew this one, and why that failed last.
    attempts: int = 0
    problem: str = ""

    def __repr__(self) -> str:
        """Tell everything but the token."""
        return f"Token(serial={self.serial}, attempts={self.attempts})"

    def to_json(self) -> bytes:
        """Return what ``from_json`` reads."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_json(cls, text: bytes) -> "Token":
        """Return the token that ``to_json`` wrote."""
        values: dict[str, Any] = json.loads(text)
        return cls(**{item.name: values[item.name] for item in fields(cls)})


@dataclass(frozen=True)
class Wish:
    """What the gateway asks the hub for: another token, or that a person is told which scope is lacking."""

    server_id: int
    account: str
    #: Of the token that is not good any more, or not good enough.
    serial: int
    #: What the server wants; empty: only another token.
    scope: str = ""

    def to_json(self) -> str:
        """Return what ``from_json`` reads; Postgres passes on 8,000 bytes."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Wish":
        """Return the wish that ``to_json`` wrote.

        Raises:
            ValueError: It is none.
        """
        try:
            values: dict[str, Any] = json.loads(text)
            return cls(
                int(values["server_id"]),
                str(values["account"]),
                int(values["serial"]),
                str(values["scope"]),
            )
        except (KeyError, TypeError) as error:
            raise ValueError("not a wish") from error
