"""Backups on another box, brought there by rsync over ssh."""

import shlex
import tempfile
from dataclasses import dataclass
from pathlib import Path

from appliance.backups.errors import TargetUnavailableError
from appliance.backups.naming import parse
from appliance.backups.progress import OnBytes
from appliance.backups.targets.address import SshAddress
from appliance.backups.targets.port import Kept
from appliance.infra.pipes import ProgramFailedError, text_of
from appliance.infra.process import ProgramMissingError
from appliance.settings import Settings

_CONNECT_S = 15
_SILENT_S = 120
_LISTED_FIELDS = 5


def ssh_command(
    address: SshAddress, *, key: Path | None, known_hosts: Path | None
) -> list[str]:
    """Return the argv that reaches the other box, before host and command; it never asks anybody. Pure."""
    options = {
        "BatchMode": "yes",
        "StrictHostKeyChecking": "yes",
        "ConnectTimeout": str(_CONNECT_S),
        "ServerAliveInterval": "30",
        **({"IdentitiesOnly": "yes"} if key else {}),
        **({"UserKnownHostsFile": str(known_hosts)} if known_hosts else {}),
    }
    return [
        "ssh",
        *(["-i", str(key)] if key else []),
        *(["-p", str(address.port)] if address.port else []),
        *[word for name, value in options.items() for word in ("-o", f"{name}={value}")],
    ]  # fmt: skip


def rsync_command(ssh: list[str], *words: str) -> list[str]:
    """Return an argv of rsync. Pure."""
    return [
        "rsync", "--protect-args", f"--timeout={_SILENT_S}", "--chmod=F600", f"--rsh={shlex.join(ssh)}", *words,
    ]  # fmt: skip


@dataclass(frozen=True)
class RsyncTarget:
    """See ``Target``."""

    address: SshAddress
    ssh: list[str]

    @property
    def words(self) -> str:
        """Where it is."""
        return str(self.address)

    def _there(self, name: str = "") -> str:
        return f"{self.address.login}:{self.address.path}/{name}"

    def _run(self, *words: str) -> str:
        try:
            return text_of(rsync_command(self.ssh, *words))
        except ProgramFailedError as error:
            raise TargetUnavailableError(
                f"{self.address}: {error.detail.rstrip('.')}.",
                hint="Both boxes need rsync, and the directory must be there. Try: rsync --list-only "
                + self._there(),
            ) from error
        except ProgramMissingError as error:
            raise TargetUnavailableError(
                error.detail, hint="Install rsync and ssh."
            ) from error

    def check(self) -> str:
        """Write something and remove it."""
        with tempfile.TemporaryDirectory() as directory:
            trial = Path(directory) / ".mcp-host-trial"
            trial.write_bytes(b"trial")
            self._run(str(trial), self._there())
        self.remove(".mcp-host-trial")
        return f"{self.address} can be written to."

    def place(self, staging: Path) -> Path:
        """Return the staging directory: a whole file is sent."""
        return staging

    def put(self, file: Path, name: str, on_bytes: OnBytes) -> None:
        """Send a file; rsync gives it its name when it is whole."""
        self._run(str(file), self._there(name))
        on_bytes(file.stat().st_size)

    def same(self, file: Path, name: str, sha256: str, on_bytes: OnBytes) -> bool:  # noqa: ARG002 - rsync compares both ends
        """Have the other end read its file, and tell whether nothing would have to be sent."""
        told = self._run(
            "--checksum", "--dry-run", "--itemize-changes", "--no-times", "--no-perms",
            str(file), self._there(name),
        )  # fmt: skip
        on_bytes(file.stat().st_size)
        return not any(line.startswith((">", "<")) for line in told.splitlines())

    def fetch(self, name: str, to: Path, on_bytes: OnBytes) -> None:
        """Bring a file."""
        self._run(self._there(name), str(to))
        on_bytes(to.stat().st_size)

    def names(self) -> list[Kept]:
        """Return what is kept."""
        found = []
        for line in self._run("--list-only", self._there()).splitlines():
            fields = line.split(maxsplit=_LISTED_FIELDS - 1)
            if len(fields) == _LISTED_FIELDS and parse(fields[-1]):
                found.append(Kept(fields[-1], int(fields[1].replace(",", ""))))
        return found

    def remove(self, name: str) -> None:
        """Remove a file: from nothing but that name, an empty directory is brought there."""
        with tempfile.TemporaryDirectory() as empty:
            self._run(
                "--recursive", "--delete", f"--include=/{name}", "--exclude=*",
                f"{empty}/", self._there(),
            )  # fmt: skip


def rsync_target(address: SshAddress, settings: Settings) -> RsyncTarget:
    """Return the target with the key that signs in."""
    ssh = ssh_command(
        address,
        key=settings.backup_ssh_key_file,
        known_hosts=settings.backup_ssh_known_hosts,
    )
    return RsyncTarget(address, ssh)
