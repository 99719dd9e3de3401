"""The appliance's own image, built and run by the scripts that an operator uses, and looked into with the engine's client."""

import json
import secrets
import shutil
import subprocess
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.harness.mcp import HttpMcp

ROOT = Path(__file__).parent.parent.parent
#: Of what these proofs make on the engine.
IMAGE = "mcp-host-proof/appliance"
HEALTHY_S = 240
EVERYTHING_S = 3600
#: By which the entry's programs are known in /proc.
PROGRAMS = {
    "hub": "appliance serve",
    "gateway": "appliance.gateway",
    "egress": "appliance.egress",
    "postgres": "pginstall/bin/postgres",
}
#: One line a process: id, user, state, command.
_LOOK = (
    "for d in /proc/[0-9]*; do read -r _ _ s _ <$d/stat || continue; u=$(sed -n 's/^Uid:\\t\\([0-9]*\\).*/\\1/p' $d/status);"
    " echo ${d#/proc/} $u $s $(tr '\\0' ' ' <$d/cmdline); done 2>/dev/null"
)


def script(name: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run one of the project's scripts."""
    return subprocess.run(
        [ROOT / "scripts" / name, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=EVERYTHING_S,
    )


def docker(*arguments: str, check: bool = True) -> str:
    """Run the engine's client and return what it printed, both streams."""
    done = subprocess.run(
        ["docker", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if check and done.returncode:
        raise RuntimeError(f"docker {' '.join(arguments)}: {done.stdout[-2000:]}")
    return done.stdout


def build(tag: str, *options: str) -> str:
    """Build the image and return its name; ``scripts/build_container.sh`` prints it."""
    done = script("build_container.sh", "--image", IMAGE, "--tag", tag, *options)
    if done.returncode:
        raise RuntimeError(
            f"build_container.sh {' '.join(options)}: {done.stderr[-3000:]}"
        )
    return done.stdout.strip()


def layers_with(image: str, words: list[bytes]) -> list[str]:
    """Return where in an image one of ``words`` is: files of its layers, its configuration and history."""
    found = []
    with subprocess.Popen(["docker", "save", image], stdout=subprocess.PIPE) as saving:
        assert saving.stdout
        with tarfile.open(fileobj=saving.stdout, mode="r|") as outer:
            for part in outer:
                content = outer.extractfile(part)
                if content is None:
                    continue
                if part.name.endswith(".tar"):
                    with tarfile.open(fileobj=content, mode="r|") as layer:
                        found += _files_with(layer, words)
                elif any(word in content.read() for word in words):
                    found.append(part.name)
    return found


def _files_with(layer: tarfile.TarFile, words: list[bytes]) -> list[str]:
    found = []
    for item in layer:
        content = layer.extractfile(item) if item.isfile() else None
        if content is not None and any(word in content.read() for word in words):
            found.append(item.name)
    return found


@dataclass
class Container:
    """One running container of the image, and the appliance in it."""

    name: str
    hub_port: int
    gateway_port: int
    options: list[str]
    #: It is emulated.
    is_slow: bool = False
    client: httpx.Client = field(init=False)
    key: str = ""

    def __post_init__(self) -> None:
        """Open nothing yet."""
        self.client = httpx.Client(
            base_url=f"http://127.0.0.1:{self.hub_port}", timeout=60
        )

    def run(self) -> None:
        """Start it by the script; returns when that does."""
        done = script("run_container.sh", "--name", self.name, *self.options)
        if done.returncode:
            raise RuntimeError(
                f"run_container.sh: {done.stderr[-3000:]}\n{self.logs()[-3000:]}"
            )
        # A proof wants to see how it ended.
        docker("update", "--restart=no", self.name)

    def logs(self) -> str:
        """Return all that it printed."""
        return docker("logs", self.name, check=False)

    def exec(self, *command: str, check: bool = True) -> str:
        """Run a command in it."""
        return docker("exec", self.name, *command, check=check)

    def remove(self) -> None:
        """Take it away; its volumes stay."""
        docker("rm", "-f", self.name, check=False)

    # -- how it is

    def state(self) -> dict[str, Any]:
        """Return what the engine says of it."""
        found: list[dict[str, Any]] = json.loads(docker("inspect", self.name))
        return dict(found[0]["State"])

    def wait_healthy(self) -> None:
        """Wait until the image's own health check is content, and the appliance ready, gateway included."""
        deadline = time.monotonic() + HEALTHY_S * (4 if self.is_slow else 1)
        while not (self.state()["Health"]["Status"] == "healthy" and self._is_ready()):
            if self.state()["Status"] != "running" or time.monotonic() > deadline:
                raise TimeoutError(f"not healthy:\n{self.logs()[-3000:]}")
            time.sleep(0.5)

    def _is_ready(self) -> bool:
        try:
            parts = self.client.get("/readyz").json()["parts"]
        except (httpx.HTTPError, KeyError, ValueError):
            return False
        states = {part["name"]: part["state"] for part in parts}
        return {states.get("database"), states.get("gateway")} == {"ok"}

    def processes(self) -> list[tuple[int, int, str, str]]:
        """Return id, user, state and command of each process but those that look."""
        found = []
        for line in self.exec("bash", "-c", _LOOK).splitlines():
            pid, user, state, *command = [*line.split(" "), "", ""]
            text = " ".join(command).strip()
            # One that ended while it was looked at has told only some of it.
            if user.isdigit() and state and "/proc/[0-9]*" not in text:
                found.append((int(pid), int(user), state, text))
        return found

    def pid(self, program: str) -> int:
        """Return the id, inside, of one of the entry's programs: the first of them, which it started."""
        words = PROGRAMS[program]
        return min(pid for pid, _, _, text in self.processes() if words in text)

    def kill(self, program: str, sign: str = "KILL") -> None:
        """Send it a signal, by default what the kernel sends when memory runs out.

        Root has not the right to in there; its own user needs none.
        """
        command = f"kill -{sign} {self.pid(program)}"
        docker("exec", "--user", "mcp-host", self.name, "bash", "-c", command)

    def wait_ended(self, within_s: float = 60) -> int:
        """Wait for its end and return its exit code."""
        deadline = time.monotonic() + within_s
        while self.state()["Status"] == "running":
            if time.monotonic() > deadline:
                raise TimeoutError(f"it goes on:\n{self.logs()[-3000:]}")
            time.sleep(0.1)
        return int(self.state()["ExitCode"])

    # -- what it is for

    def sign_in(self) -> None:
        """Make the first administrator, as docs/container.md says, and use a key of theirs."""
        made = json.loads(
            self.exec(
                "mcp-host", "user", "create", "--admin", "--email", "admin@example.org"
            ).splitlines()[-1]
        )
        login = self.client.post(
            "/api/login", json={"email": made["email"], "password": made["password"]}
        )
        login.raise_for_status()
        headers = {"X-CSRF-Token": login.json()["csrf_token"]}
        made = self.client.post("/api/keys", json={"name": "proof"}, headers=headers)
        made.raise_for_status()
        self.key = made.json()["key"]
        self.client.cookies.clear()
        self.client.headers["Authorization"] = f"Bearer {self.key}"

    def host(self, name: str, **fields: Any) -> None:
        """Host a server and wait until it runs."""
        self.client.post(
            "/api/servers", json={"name": name, **fields}
        ).raise_for_status()
        deadline = time.monotonic() + HEALTHY_S
        while (view := self._server(name))["status"] != "running":
            if view["status"] == "error" or time.monotonic() > deadline:
                raise RuntimeError(f"{name}: {view['status']} {view['status_reason']}")
            time.sleep(0.3)

    def _server(self, name: str) -> dict[str, Any]:
        listed = self.client.get("/api/servers", params={"limit": 50})
        listed.raise_for_status()
        return next(item for item in listed.json()["items"] if item["name"] == name)

    def call(self, name: str, tool: str, **arguments: Any) -> str:
        """Call a tool through the gateway, at the port that was asked for."""
        endpoint = f"http://127.0.0.1:{self.gateway_port}/servers/{name}/mcp"
        with HttpMcp(endpoint, self.key, timeout_s=60) as client:
            client.initialize()
            return json.dumps(client.call(tool, **arguments))


@dataclass
class Stage:
    """Everything that one proof leaves on the engine, so that it can be taken away."""

    mark: str = field(default_factory=lambda: f"mcp-image-{secrets.token_hex(3)}")
    containers: list[Container] = field(default_factory=list)

    @property
    def volumes(self) -> tuple[str, str]:
        """The data's and the gateway's."""
        return f"{self.mark}-data", f"{self.mark}-gateway"

    def container(self, ports: tuple[int, int], *options: str) -> Container:
        """Return a container that is not started yet, on this stage's volumes."""
        data, state = self.volumes
        own = ["--data-volume", data, "--gw-volume", state, "--app-port", str(ports[0])]
        made = Container(
            f"{self.mark}-{len(self.containers)}", *ports, [*own, *options]
        )
        self.containers.append(made)
        return made

    def clear(self, image: str) -> None:
        """Remove containers, what they hosted, rules and volumes."""
        data, state = self.volumes
        places = ["-v", f"{data}:/var/lib/mcp-host", "-v", f"{state}:/run/mcp-host"]
        owner = docker(
            "run", "--rm", *places, "--entrypoint", "cat", image, "/var/lib/mcp-host/installation-id", check=False
        ).strip()  # fmt: skip
        for container in self.containers:
            container.client.close()
            container.remove()
            shutil.rmtree(f"/dev/shm/{container.name}-secrets", ignore_errors=True)
        docker(
            "run", "--rm", "--network", "host", "--cap-add", "NET_ADMIN", *places, image, "mcp-host", "egress", "--remove",
            check=False,
        )  # fmt: skip
        for listing, removing in (
            (["ps", "-aq"], ["rm", "-fv"]),
            (["network", "ls", "-q"], ["network", "rm"]),
            (["volume", "ls", "-q"], ["volume", "rm", "-f"]),
            (["images", "-q"], ["rmi", "-f"]),
        ):
            found = docker(
                *listing, "--filter", f"label=mcp-host.owner={owner}"
            ).split()
            if owner and found:
                docker(*removing, *sorted(set(found)), check=False)
        docker("volume", "rm", "-f", data, state, check=False)


@contextmanager
def stage(image: str) -> Iterator[Stage]:
    """Give a stage, and leave nothing of it."""
    made = Stage()
    try:
        yield made
    finally:
        made.clear(image)
