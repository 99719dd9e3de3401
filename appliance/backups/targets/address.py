"""How a target is written. Pure."""

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from appliance.backups.errors import TargetError

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
#: Nothing that begins with a dash: rsync and ssh would take it for an option.
_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*|\[[0-9A-Fa-f:]+\]")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
#: A remote shell sees it.
_REMOTE_PATH = re.compile(r"/[A-Za-z0-9_./+@-]*")


@dataclass(frozen=True)
class DirectoryAddress:
    """A directory of this box."""

    path: Path

    def __str__(self) -> str:
        """Return it as it is written."""
        return str(self.path)


@dataclass(frozen=True)
class S3Address:
    """A bucket, and what keys begin with."""

    bucket: str
    prefix: str

    def __str__(self) -> str:
        """Return it as it is written."""
        return f"s3://{self.bucket}/{self.prefix}"


@dataclass(frozen=True)
class SshAddress:
    """A directory of another box."""

    host: str
    path: str
    user: str = ""
    port: int | None = None

    @property
    def login(self) -> str:
        """Who at which host."""
        return f"{self.user}@{self.host}" if self.user else self.host

    def __str__(self) -> str:
        """Return it as it is written."""
        port = f":{self.port}" if self.port else ""
        return f"ssh://{self.login}{port}{self.path}"


Address = DirectoryAddress | S3Address | SshAddress


def parse(text: str) -> Address:
    """Return what a target's address says.

    >>> str(parse("ssh://backup@vault.example.org:2222/srv/mcp"))
    'ssh://backup@vault.example.org:2222/srv/mcp'

    Raises:
        TargetError: It is none.
    """
    if text.startswith("s3://"):
        return _s3(text)
    if text.startswith("ssh://"):
        return _ssh(text)
    if "://" in text:
        raise TargetError.field(
            "target",
            f"{text.split('://', maxsplit=1)[0]}:// is not known; give a directory, s3://bucket/prefix or ssh://user@host/path.",
        )
    path = Path(text)
    if not path.is_absolute():
        raise TargetError.field(
            "target", "a directory must be given from the root on, such as /srv/backups"
        )
    return DirectoryAddress(path)


def _s3(text: str) -> S3Address:
    bucket, _, prefix = text.removeprefix("s3://").partition("/")
    if not _BUCKET.fullmatch(bucket):
        raise TargetError.field(
            "target",
            f"{bucket!r} is no bucket's name; give such as s3://backups/mcp-host",
        )
    return S3Address(bucket, prefix.strip("/"))


def _ssh(text: str) -> SshAddress:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        parts, port = urlsplit("ssh://"), None
    host, user, path = parts.hostname or "", parts.username or "", unquote(parts.path)
    if ":" in host:
        host = f"[{host}]"
    is_good = (
        _HOST.fullmatch(host)
        and (not user or _USER.fullmatch(user))
        and _REMOTE_PATH.fullmatch(path)
        and len(path) > 1
        and not parts.password
        and ".." not in path.split("/")
    )
    if not is_good:
        raise TargetError.field(
            "target",
            "give such as ssh://backup@vault.example.org/srv/mcp-host; a key signs in, never a password, and the path has no"
            " spaces",
        )
    return SshAddress(host, path.rstrip("/"), user, port)
