"""With what a private repository is fetched: a token over https, or a deploy key over ssh. Pure."""

import json
import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from ipaddress import ip_address
from urllib.parse import urlsplit

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_ssh_private_key,
)
from pydantic import SecretStr

from appliance.core.errors import InvalidError
from appliance.sources.model import GitSource, Source

#: What git hosts take beside a token when they do not look at the name.
DEFAULT_USER = "x-access-token"
MAX_TOKEN = 4096
MAX_KEY = 16 * 1024
_USER = re.compile(r"[A-Za-z0-9_.@+-]{1,128}")
_TOKEN = re.compile(r"[\x21-\x7e]+")


class CredentialKind(StrEnum):
    """How a repository is opened."""

    TOKEN = "token"  # noqa: S105 - the word, not one
    DEPLOY_KEY = "deploy_key"


@dataclass(frozen=True)
class Credential:
    """One way in."""

    kind: CredentialKind
    secret: SecretStr
    #: Of a token.
    user: str = ""
    #: What may be shown of it.
    hint: str = ""

    def packed(self) -> bytes:
        """Return what is sealed."""
        return json.dumps([self.user, self.secret.get_secret_value()]).encode()


@dataclass(frozen=True)
class CredentialView:
    """What people see of a credential: never the credential."""

    kind: CredentialKind
    hint: str
    #: Whether a fetch has seen the host's keys, which alone are accepted from then on.
    has_host_keys: bool
    updated_at: datetime


def unpacked(kind: CredentialKind, value: bytes) -> Credential:
    """Return what ``packed`` gave."""
    user, secret = json.loads(value)
    return Credential(kind, SecretStr(secret), user)


def checked_credential(
    source: Source,
    *,
    token: SecretStr | None = None,
    user: str | None = None,
    deploy_key: SecretStr | None = None,
) -> Credential | None:
    """Return the credential that a caller gives for ``source``; ``None``: they give none.

    Raises:
        InvalidError: It does not fit the source, or is none; names the field and never says what was given.
    """
    if token is None and deploy_key is None:
        if user:
            raise InvalidError.field("git_user", "goes together with git_token")
        return None
    field = "deploy_key" if token is None else "git_token"
    if token is not None and deploy_key is not None:
        raise InvalidError.field("deploy_key", "give git_token or deploy_key, not both")
    if not isinstance(source, GitSource):
        raise InvalidError.field(field, "goes together with repo_url")
    if token is not None:
        return _token(source, token, user or DEFAULT_USER)
    return _deploy_key(source, deploy_key or SecretStr(""))


def _token(source: GitSource, token: SecretStr, user: str) -> Credential:
    text = token.get_secret_value()
    if not is_confidential(source.url):
        raise InvalidError.field(
            "git_token", "a token goes over https only: give an https:// repository"
        )
    if not _TOKEN.fullmatch(text) or len(text) > MAX_TOKEN:
        raise InvalidError.field(
            "git_token", "is not a token: one word, as the git host shows it"
        )
    if not _USER.fullmatch(user):
        raise InvalidError.field("git_user", "is not a user name of a git host")
    return Credential(CredentialKind.TOKEN, token, user, hint=user)


def is_confidential(url: str) -> bool:
    """Tell whether what is sent to a URL is read there alone: by https, or without leaving this box."""
    parts = urlsplit(url)
    if parts.scheme == "https":
        return True
    try:
        is_here = ip_address(parts.hostname or "").is_loopback
    except ValueError:
        is_here = False
    return parts.scheme == "http" and is_here


def _deploy_key(source: GitSource, key: SecretStr) -> Credential:
    if not source.url.startswith("ssh://"):
        raise InvalidError.field(
            "deploy_key",
            "a deploy key goes over ssh: give git@host:owner/name.git as the repository",
        )
    text = key.get_secret_value().replace("\r\n", "\n").strip() + "\n"
    if len(text) > MAX_KEY:
        raise InvalidError.field("deploy_key", "is too long for a private key")
    try:
        private = load_ssh_private_key(text.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # From nothing: the library's text may quote the key.
        raise InvalidError.field(
            "deploy_key",
            "is not a private key in OpenSSH's format without a passphrase, as ssh-keygen -t ed25519 -N '' writes it",
        ) from None
    public = private.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    return Credential(CredentialKind.DEPLOY_KEY, SecretStr(text), hint=public.decode())
