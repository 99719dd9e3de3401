"""The git commands that fetch a stranger's repository, and what they may see and do. Pure."""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlsplit

from appliance.builds.errors import RepositoryHostileError
from appliance.builds.limits import Limits
from appliance.builds.tree_check import (
    check_name,
    is_git_name,
    shown,
    too_large,
    too_many,
)
from appliance.core.errors import DomainError
from appliance.sources.credentials import Credential, CredentialKind, is_confidential
from appliance.sources.model import GitSource

PROTOCOLS = ("https", "http", "ssh")
#: Faults of old commits that trick nobody; any other fault of an object ends the fetch.
_HARMLESS_FAULTS = (
    "badDateOverflow", "badEmail", "badFilemode", "badTimezone", "emptyName", "missingEmail", "missingNameBeforeEmail",
    "missingSpaceBeforeDate", "missingSpaceBeforeEmail", "missingTaggerEntry", "zeroPaddedDate", "zeroPaddedFilemode",
)  # fmt: skip
_CONFIG = (
    "protocol.allow=never",
    *(f"protocol.{name}.allow=always" for name in PROTOCOLS),
    "http.followRedirects=initial",
    "http.lowSpeedLimit=1000",
    "http.lowSpeedTime=30",
    # Nothing of the repository runs, and nothing of this box's own git configuration counts.
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.attributesFile=/dev/null",
    "core.protectHFS=true",
    "core.protectNTFS=true",
    "gc.auto=0",
    "maintenance.auto=false",
    "submodule.recurse=false",
    "fetch.recurseSubmodules=false",
    # Objects are checked as they come in, by index-pack, which keeps large ones on the disk.
    "transfer.fsckObjects=true",
    *(f"fetch.fsck.{fault}=ignore" for fault in _HARMLESS_FAULTS),
    "transfer.unpackLimit=1",
    "core.bigFileThreshold=16m",
    "core.packedGitWindowSize=16m",
    "core.packedGitLimit=256m",
    "core.deltaBaseCacheLimit=32m",
    # An empty one forgets those before it.
    "credential.helper=",
)
_QUOTED = re.compile(r'\\([0-7]{3}|[abtnvfr"\\])')
_LETTERS = {
    "a": 7, "b": 8, "t": 9, "n": 10, "v": 11, "f": 12, "r": 13, '"': 34, "\\": 92,
}  # fmt: skip
_SYMLINK, _SUBMODULE = "120000", "160000"


@dataclass(frozen=True)
class GitAccess:
    """How one fetch gets in."""

    #: Where the files below live; also the home directory that git believes in.
    home: Path
    config: tuple[str, ...] = ()
    ssh: tuple[str, ...] = ()
    #: Files that must be there meanwhile, readable by nobody else.
    files: Mapping[str, str] = field(default_factory=dict)

    @property
    def known_hosts(self) -> Path:
        """Where ssh notes the host keys that it saw."""
        return self.home / "known_hosts"

    def environment(self, ca_bundle: Path) -> dict[str, str]:
        """Return the variables under which git asks nobody and reads no one's configuration."""
        return {
            "HOME": str(self.home),
            "XDG_CONFIG_HOME": str(self.home),
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_ALLOW_PROTOCOL": ":".join(PROTOCOLS),
            "GIT_LFS_SKIP_SMUDGE": "1",
            "GIT_SSL_CAINFO": str(ca_bundle),
            "GIT_SSH_COMMAND": shlex.join(self.ssh),
        }

    def git(self, *arguments: str, at: Path | None = None) -> list[str]:
        """Return a git command."""
        settings = [part for item in (*_CONFIG, *self.config) for part in ("-c", item)]
        where = ["-C", str(at)] if at else []
        return ["git", *settings, *where, *arguments]


def access(
    source: GitSource, home: Path, credential: Credential | None, known_hosts: str = ""
) -> GitAccess:
    """Return how ``source`` is opened.

    Args:
        home: An empty directory of this fetch.
        credential: ``None``: the repository is public. The keys of whoever runs the hub are nobody else's.
        known_hosts: Host keys of the first fetch; with them, no other is accepted.
    """
    files = {"known_hosts": known_hosts}
    key = "none"
    config: tuple[str, ...] = ()
    if credential and credential.kind is CredentialKind.DEPLOY_KEY:
        key = str(home / "deploy_key")
        files["deploy_key"] = credential.secret.get_secret_value()
    # A token that was given for a confidential address must not leave for another one.
    elif credential and is_confidential(source.url):
        # git gives what this file holds to the host that its line names, and to no other: a redirect gets nothing.
        config = (f"credential.helper=store --file={shlex.quote(str(home / 'token'))}",)
        files["token"] = _stored(source, credential)
    return GitAccess(home, config, _ssh(home, key, is_pinned=bool(known_hosts)), files)


def _stored(source: GitSource, credential: Credential) -> str:
    parts = urlsplit(source.url)
    user = quote(credential.user, safe="")
    secret = quote(credential.secret.get_secret_value(), safe="")
    return f"{parts.scheme}://{user}:{secret}@{parts.netloc.rpartition('@')[2]}\n"


def _ssh(home: Path, key: str, *, is_pinned: bool) -> tuple[str, ...]:
    options = {
        "BatchMode": "yes",
        "ConnectTimeout": "15",
        "IdentitiesOnly": "yes",
        "IdentityAgent": "none",
        "IdentityFile": key,
        "UserKnownHostsFile": str(home / "known_hosts"),
        "GlobalKnownHostsFile": "/dev/null",
        "StrictHostKeyChecking": "yes" if is_pinned else "accept-new",
        "UpdateHostKeys": "no",
        "HashKnownHosts": "no",
        "PermitLocalCommand": "no",
        "ForwardAgent": "no",
        "ClearAllForwardings": "yes",
    }
    # The blank keeps ssh from reading what follows as part of the name; quotes keep a path with blanks whole.
    pairs = [f"-o{name}={_ssh_value(value)}" for name, value in options.items()]
    return ("ssh", "-F", "/dev/null", *pairs)


def _ssh_value(value: str) -> str:
    return f'"{value}"' if " " in value else value


def clone_argv(source: GitSource, target: Path, access: GitAccess) -> list[str]:
    """Return the command that fetches one commit and writes none of its files yet."""
    options = [
        "--depth=1", "--single-branch", "--no-tags", "--template=", "--no-checkout", "--progress",
    ]  # fmt: skip
    if source.branch:
        options.append(f"--branch={source.branch}")
    return access.git("clone", *options, "--", source.url, str(target))


def lfs_url(source: GitSource) -> str:
    """Return where the repository's own large files are, whatever its ``.lfsconfig`` says."""
    return f"{source.url.removesuffix('/').removesuffix('.git')}.git/info/lfs"


def lfs_settings(source: GitSource) -> list[str]:
    """Return what ``git lfs pull`` has to be told: where the files are, and that it may put them in the pointers' place.

    Without the filters git-lfs fetches, says that it is not installed, and leaves the pointers.
    """
    settings = {
        "lfs.url": lfs_url(source),
        "filter.lfs.clean": "git-lfs clean -- %f",
        "filter.lfs.smudge": "git-lfs smudge -- %f",
        "filter.lfs.process": "git-lfs filter-process",
        "filter.lfs.required": "true",
    }
    return [part for item in settings.items() for part in ("-c", "=".join(item))]


class Listing:
    """Reads ``git ls-tree -r -t --long`` line by line, and finds what must not be written to the disk."""

    def __init__(self, limits: Limits) -> None:
        """Begin before the first line."""
        self._limits = limits
        self._bytes = 0
        self._count = 0
        #: The first thing that is wrong.
        self.problem: DomainError | None = None

    def feed(self, line: str) -> None:
        """Take one line: mode, type, object and size, a tab, and the path."""
        if self.problem is None:
            try:
                self._check(line)
            except DomainError as error:
                self.problem = error

    def _check(self, line: str) -> None:
        head, tab, raw = line.partition("\t")
        fields = head.split()
        if not tab or len(fields) != 4:  # noqa: PLR2004 - the four of the format
            raise RepositoryHostileError(
                f"git lists something unreadable: {shown(line)}."
            )
        path = unquoted(raw)
        check_name(path, "repository")
        parts = path.split("/")
        if {"", ".", ".."} & set(parts) or any(map(is_git_name, parts)):
            raise RepositoryHostileError(
                f"The repository holds a path that is git's own, or leads out of it: {shown(path)}.",
                hint="Remove it from the repository.",
            )
        self._count += 1
        self._bytes += int(fields[3]) if fields[3].isdigit() else 0
        if self._count > self._limits.max_files:
            raise too_many("repository", self._limits)
        if self._bytes > self._limits.max_bytes:
            raise too_large("repository", self._limits)


def unquoted(text: str) -> str:
    r"""Return the path that git prints as ``"a\303\244"`` when it is not plain."""
    if not (text.startswith('"') and text.endswith('"')):
        return text

    def byte(match: re.Match[str]) -> str:
        found = match[1]
        return chr(_LETTERS[found] if found in _LETTERS else int(found, 8))

    plain = _QUOTED.sub(byte, text[1:-1])
    return plain.encode("latin-1").decode(errors="surrogateescape")
