"""A real registry, Debian's docker-registry: open, behind passwords, or behind tokens."""

import base64
import json
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.harness.ports import free_port
from tests.harness.token_server import TokenServer, token_server

Auth = Literal["none", "htpasswd", "token"]
USERNAME = "pusher"
START_S = 20.0


@dataclass
class Registry:
    """A running registry."""

    #: ``127.0.0.1:PORT``.
    host: str
    #: Where it keeps everything.
    storage: Path
    auth: Auth
    username: str
    password: str
    process: "subprocess.Popen[bytes]"
    #: What signs its tokens, with ``auth="token"``.
    tokens: TokenServer | None = None

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://{self.host}"

    @property
    def port(self) -> int:
        """Its port."""
        return int(self.host.rpartition(":")[2])

    def docker_config(self, *hosts: str) -> dict[str, object]:
        """Return a dockerconfigjson for it, or for those who stand in front of it."""
        pair = f"{self.username}:{self.password}".encode()
        entry = {"auth": base64.b64encode(pair).decode()}
        return {"auths": dict.fromkeys(hosts or (self.host,), entry)}

    def manifest(self, repository: str, reference: str) -> bytes | None:
        """Return a manifest as it lies on disk, without asking the registry; ``None``: there is none."""
        base = self.storage / "docker/registry/v2/repositories" / repository
        digest = reference
        if not reference.startswith("sha256:"):
            link = base / "_manifests/tags" / reference / "current/link"
            if not link.is_file():
                return None
            digest = link.read_text()
        if not (base / "_manifests/revisions/sha256" / digest[7:] / "link").is_file():
            return None
        return self.blob(digest)

    def blob(self, digest: str) -> bytes | None:
        """Return a blob as it lies on disk."""
        hexed = digest.removeprefix("sha256:")
        path = (
            self.storage / f"docker/registry/v2/blobs/sha256/{hexed[:2]}/{hexed}/data"
        )
        return path.read_bytes() if path.is_file() else None

    def tags(self, repository: str) -> list[str]:
        """Return the tags of a repository as they lie on disk."""
        base = self.storage / "docker/registry/v2/repositories" / repository
        tags = base / "_manifests/tags"
        return sorted(p.name for p in tags.iterdir()) if tags.is_dir() else []

    def stop(self) -> None:
        """Stop answering; what is stored stays."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def start(self) -> None:
        """Answer again, at the same port."""
        self.process = _launch(self.storage.parent / "config.yml")
        _wait(self.host, self.process)


@contextmanager
def registry(
    auth: Auth = "none",
    *,
    delete: bool = True,
    token_life_s: int = 300,
    port: int | None = None,
) -> Iterator[Registry]:
    """Run a registry in a directory and on a port of its own.

    Args:
        auth: Who may use it: anybody, whoever knows a password, whoever has a token.
        delete: Whether manifests may be deleted.
        token_life_s: Seconds that a token lives, with ``auth="token"``.
    """
    home = Path(tempfile.mkdtemp(prefix="registry-", dir="/var/tmp"))
    password = secrets.token_urlsafe(18)
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, home, ignore_errors=True)
        host = f"127.0.0.1:{port or free_port()}"
        tokens = None
        if auth == "token":
            tokens = stack.enter_context(
                token_server(home, USERNAME, password, life_s=token_life_s)
            )
        config = _config(
            host, home, auth, password=password, tokens=tokens, delete=delete
        )
        path = home / "config.yml"
        # YAML takes JSON as it is.
        path.write_text(json.dumps(config))
        process = _launch(path)
        running = Registry(
            host, home / "storage", auth, USERNAME, password, process, tokens
        )
        stack.callback(running.stop)
        _wait(host, process)
        yield running


def _config(
    host: str,
    home: Path,
    auth: Auth,
    *,
    password: str,
    tokens: TokenServer | None,
    delete: bool,
) -> dict[str, object]:
    config: dict[str, object] = {
        "version": 0.1,
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {
            "filesystem": {"rootdirectory": str(home / "storage")},
            "delete": {"enabled": delete},
        },
        "http": {"addr": host, "secret": secrets.token_hex(16)},
    }
    if auth == "htpasswd":
        command = ["htpasswd", "-niBC4", USERNAME]
        made = subprocess.run(
            command, input=password, capture_output=True, text=True, check=True
        )
        (home / "htpasswd").write_text(made.stdout)
        config["auth"] = {"htpasswd": {"realm": "test", "path": str(home / "htpasswd")}}
    elif tokens is not None:
        config["auth"] = {
            "token": {
                "realm": tokens.realm,
                "service": tokens.service,
                "issuer": tokens.issuer,
                "rootcertbundle": str(tokens.certificate),
            }
        }
    return config


def _launch(config: Path) -> "subprocess.Popen[bytes]":
    with (config.parent / "log").open("ab") as log:
        return subprocess.Popen(
            ["docker-registry", "serve", str(config)],
            stdout=log,
            stderr=log,
            env={"PATH": os.environ["PATH"], "OTEL_TRACES_EXPORTER": "none"},
        )


def _wait(host: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START_S
    while True:
        with suppress(urllib.error.HTTPError), suppress(OSError):
            try:
                urllib.request.urlopen(f"http://{host}/v2/", timeout=2).close()
            except urllib.error.HTTPError as error:
                error.close()
            return
        if process.poll() is not None:
            raise RuntimeError(f"docker-registry ended with {process.returncode}")
        if time.monotonic() > deadline:
            raise TimeoutError(f"docker-registry does not answer at {host}")
        time.sleep(0.05)
