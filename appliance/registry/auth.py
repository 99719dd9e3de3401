"""How one proves to a registry who one is: credentials, challenges, tokens. Pure.

A registry that wants to know answers 401 with a challenge. ``Basic`` means: send the credentials. ``Bearer`` means: fetch a
token for a scope from the realm it names, with the credentials or without, and send that.
"""

import base64
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import SecretStr

#: A token server that does not say how long a token lives means a minute.
DEFAULT_LIFE_S = 60.0
_PARAMETER = re.compile(r'([A-Za-z_]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,]+))')


@dataclass(frozen=True)
class Credentials:
    """Who one is at a registry."""

    username: str = ""
    password: SecretStr = field(default_factory=lambda: SecretStr(""))
    #: What ``docker login`` keeps of an identity provider; then the other two do not count.
    identity_token: SecretStr | None = None

    def basic(self) -> str:
        """Return the value of an Authorization header."""
        pair = f"{self.username}:{self.password.get_secret_value()}"
        return f"Basic {base64.b64encode(pair.encode()).decode()}"


@dataclass(frozen=True)
class Challenge:
    """How a registry wants to be asked."""

    #: ``basic`` or ``bearer``.
    scheme: str
    realm: str = ""
    service: str = ""
    #: What a token must allow, if the registry says it.
    scopes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Token:
    """What a token server gave."""

    value: SecretStr
    #: Seconds from its issue.
    life_s: float

    def renew_after_s(self) -> float:
        """Return the age at which a new one is fetched: long requests must not outlive the old one."""
        return self.life_s * 0.75


def parse_challenges(values: Iterable[str]) -> Challenge | None:
    """Return the strongest challenge that we can meet among the ``WWW-Authenticate`` headers; ``None``: there is none."""
    found = [item for value in values if (item := _parse(value)) is not None]
    return next(
        (item for item in found if item.scheme == "bearer"), found[0] if found else None
    )


def _parse(value: str) -> Challenge | None:
    scheme, _, rest = value.strip().partition(" ")
    scheme = scheme.lower()
    items = {
        name.lower(): quoted or plain
        for name, quoted, plain in _PARAMETER.findall(rest)
    }
    if scheme == "basic":
        return Challenge("basic", items.get("realm", ""))
    if scheme != "bearer" or not items.get("realm"):
        return None
    return Challenge(
        "bearer",
        items["realm"],
        items.get("service", ""),
        tuple(items.get("scope", "").split()),
    )


def token_query(challenge: Challenge, scopes: Iterable[str]) -> list[tuple[str, str]]:
    """Return the query for a token server: scopes of one repository joined, as registries do it."""
    query = [("service", challenge.service)] if challenge.service else []
    return query + [("scope", scope) for scope in joined(scopes)]


def joined(scopes: Iterable[str]) -> list[str]:
    """Return the scopes, one for each repository.

    >>> joined(["repository:a:push", "repository:a:pull", "repository:b:pull"])
    ['repository:a:pull,push', 'repository:b:pull']
    """
    actions: dict[str, set[str]] = {}
    for scope in scopes:
        name, _, words = scope.rpartition(":")
        actions.setdefault(name, set()).update(words.split(","))
    return [f"{name}:{','.join(sorted(words))}" for name, words in actions.items()]


def read_token(answer: Mapping[str, Any]) -> Token | None:
    """Return the token of a token server's answer; ``None``: there is none in it."""
    value = answer.get("token") or answer.get("access_token")
    if not isinstance(value, str) or not value or not value.isprintable():
        return None
    life = answer.get("expires_in")
    if not isinstance(life, int | float) or isinstance(life, bool):
        life = DEFAULT_LIFE_S
    return Token(SecretStr(value), float(life))
