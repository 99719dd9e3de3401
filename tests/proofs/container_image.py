"""The container image, built and run with every option of its scripts, on this box's platform and, emulated, on arm64.

The appliance in the container hosts a published MCP server on this box's engine; each of its processes is killed in turn;
its volumes are taken over by other containers; its layers are searched for what the build was lent.
"""

import platform as box
import secrets
import shlex
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.harness import guide
from tests.harness.container import (
    IMAGE,
    PROGRAMS,
    ROOT,
    Container,
    Stage,
    build,
    docker,
    layers_with,
    stage,
)
from tests.harness.ports import free_port
from tests.proofs.claim import MissingError, hold
from tests.proofs.needs import need_programs

ARM = "linux/arm64"
CODES = {"hub": 70, "gateway": 71, "postgres": 72, "egress": 73}
#: A hang is one after two looks, a minute apart.
HANG_S = 240.0
#: Docker's own patience, when nobody says otherwise; what is emulated gets more.
STOP_S, EMULATED_STOP_S = 10.0, 120.0
#: Everything stops in this order.
ORDER = ("hub", "gateway", "egress", "postgres")
SERVER = "time"
BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")


def prove() -> None:
    """Build, run, host, call, kill, stop, take over, search."""
    need_programs("docker", "mmdebstrap")
    if box.machine() != "x86_64":
        raise MissingError("this needs an amd64 box, which emulates arm64")
    problems: list[str] = []
    with tempfile.TemporaryDirectory(dir="/var/tmp") as home:
        with _lent(Path(home)) as (lent, words):
            images = _build(lent)
        problems += _check_images(images, words)
        problems += _on_this_box(images, Path(home))
        problems += _without_gateway(images, Path(home))
        problems += _by_the_guide(Path(home))
        problems += _emulated(images["arm64"], Path(home))
    for line in problems:
        print(f"  {line}")
    hold(
        not problems,
        f"{len(images)} images on 2 platforms, every option; each of {len(CODES)} processes killed: all stopped in order, told"
        f" by the code; state kept, nothing ran as root, none of {len(words)} secrets in a layer; problems: {len(problems)}",
    )


# -- the images


@contextmanager
def _lent(home: Path) -> Iterator[tuple[list[str], list[bytes]]]:
    """Give options that lend secrets to the build, and the words that must be nowhere afterwards."""
    pip, bundle, env = (secrets.token_hex(16) for _ in range(3))
    config = home / "pip.conf"
    config.write_text(f"# {pip}\n[global]\ntimeout = 120\n")
    own_bundle = home / "ca.pem"
    own_bundle.write_text(f"{BUNDLE.read_text()}\n# {bundle}\n")
    # What an operator might have left in the checkout.
    left = [ROOT / ".env.proof", ROOT / "appliance" / ".env.proof"]
    try:
        for path in left:
            path.write_text(f"JWT_SECRET={env}\n")
        words = [word.encode() for word in (pip, bundle, env)]
        yield (
            ["--pip-config", str(config), "--ca-bundle", str(own_bundle)],
            words,
        )
    finally:
        for path in left:
            path.unlink(missing_ok=True)


def _build(lent: list[str]) -> dict[str, str]:
    """Build every kind, and return their names."""
    kinds = {
        "usual": ["--buildx"],
        "dev": ["--dev", "--platform", "linux/amd64"],
        "no-gateway": ["--skip-gateway-setup"],
        "arm64": ["--platform", ARM, "--buildx"],
    }
    images = {}
    for kind, options in kinds.items():
        started = time.monotonic()
        images[kind] = build(kind, *options, *lent)
        size = int(docker("image", "inspect", "-f", "{{.Size}}", images[kind]))
        print(
            f"{kind:<11} {size / 1e6:4.0f} MB, built in {time.monotonic() - started:4.0f} s"
        )
    return images


def _check_images(images: dict[str, str], words: list[bytes]) -> list[str]:
    problems = [
        f"{kind}: a secret is in {place}"
        for kind, image in images.items()
        for place in layers_with(image, words)
    ]
    # The search is only worth something if it finds what is there.
    if not layers_with(images["usual"], [b"run_prod: %s"]):
        problems.append("what is in a layer was not found")
    asked = {
        "usual": ("test ! -e .venv/bin/pytest && test -d appliance/gateway", "amd64", "x86_64"),
        "dev": ("test -x .venv/bin/pytest && test -d appliance/gateway", "amd64", "x86_64"),
        "no-gateway": ("test ! -e appliance/gateway", "amd64", "x86_64"),
        "arm64": ("test ! -e .venv/bin/pytest", "arm64", "aarch64"),
    }  # fmt: skip
    for kind, (test, platform, machine) in asked.items():
        # Younger engines warn of a platform that is not theirs unless it is named.
        said = docker(
            "run", "--rm", "--platform", f"linux/{platform}", "--workdir", "/opt/mcp-host",
            "--entrypoint", "sh", images[kind], "-c", f"{test} && uname -m", check=False,
        )  # fmt: skip
        if said.strip() != machine:
            problems.append(f"{kind}: is not what was asked for: {said.strip()[-200:]}")
    return problems


# -- on this box


def _on_this_box(images: dict[str, str], home: Path) -> list[str]:
    problems = []
    settings = home / "settings.env"
    secret = secrets.token_urlsafe(48)
    settings.write_text(f"JWT_SECRET={secret}\nGW_WORKERS=1\nBUILD_CONCURRENCY=3\n")
    settings.chmod(0o600)
    with stage(images["usual"]) as scene:
        first = scene.container(
            _ports(), *_image(images["usual"]), "--env-file", str(settings), "--egress", "--ca-bundle", str(BUNDLE),
        )  # fmt: skip
        first.options += ["--gw-port", str(first.gateway_port)]
        first.run()
        first.wait_healthy()
        first.sign_in()
        first.host(SERVER, package="pypi:mcp-server-time")
        problems += _check_running(first, secret)
        for program in ("hub", "gateway", "postgres", "egress"):
            problems += _killed(first, program)
        problems += _stopped(first)
        docker("start", first.name)
        first.wait_healthy()
        problems += _hung(first)
        first.remove()
        problems += _taken_over(scene, images["usual"], first, settings)
    return problems


def _check_running(running: Container, secret: str) -> list[str]:
    problems = []
    if "Paris" not in _ask(running):
        problems.append("the hosted server did not answer")
    if roots := [text for _, user, _, text in running.processes() if user == 0]:
        problems.append(f"runs as root: {roots}")
    if secret in docker("inspect", running.name):
        problems.append("docker inspect shows JWT_SECRET")
    if secret in running.logs():
        problems.append("the log shows JWT_SECRET")
    if "table inet mcp_host_" not in running.exec("nft", "list", "tables"):
        problems.append("egress has no table in the firewall")
    # Nobody's child: it ends as that of the first process.
    running.exec("sh", "-c", "(sleep 0.2 &) ; exit 0")
    time.sleep(1)
    if dead := [text for _, _, state, text in running.processes() if state == "Z"]:
        problems.append(f"not reaped: {dead}")
    return problems


def _ask(running: Container) -> str:
    return running.call(SERVER, "get_current_time", timezone="Europe/Paris")


def _killed(running: Container, program: str) -> list[str]:
    """Kill one program, see all end in order, and start again where it was."""
    before = len(running.logs())
    running.kill(program)
    code = running.wait_ended()
    said = running.logs()[before:]
    stops = [f"Stopping {name}" for name in ORDER if name != program]
    places = [said.find(line) for line in stops]
    problems = []
    if code != CODES[program]:
        problems.append(f"{program} was killed, and the exit code is {code}")
    if -1 in places or places != sorted(places):
        problems.append(f"{program} was killed, and the others stopped as {places}")
    if program != "postgres" and "database system is shut down" not in said:
        problems.append(f"{program} was killed, and Postgres did not stop cleanly")
    docker("start", running.name)
    running.wait_healthy()
    if "Paris" not in _ask(running):
        problems.append(f"after {program} was killed the server does not answer")
    print(
        f"{program} killed: exit code {code}, order {'kept' if places == sorted(places) else 'broken'}"
    )
    return problems


def _hung(running: Container) -> list[str]:
    """Have the hub stand still; it is noticed, and all end as if it had died."""
    running.kill("hub", "STOP")
    started = time.monotonic()
    code = running.wait_ended(HANG_S)
    print(
        f"hub hangs: ended after {time.monotonic() - started:.0f} s, exit code {code}"
    )
    return [] if code == CODES["hub"] else [f"a hang of the hub ended with {code}"]


def _stopped(running: Container) -> list[str]:
    """Stop it as docker does by itself."""
    started = time.monotonic()
    within_s = EMULATED_STOP_S if running.is_slow else STOP_S
    docker("stop", "--time", f"{within_s:.0f}", running.name)
    took = time.monotonic() - started
    code, last = running.wait_ended(), running.logs().strip().splitlines()[-1]
    print(f"docker stop: {took:.1f} s, exit code {code}")
    if code or took >= within_s or "database system is shut down" not in last:
        return [f"docker stop took {took:.1f} s, exit code {code}, at last: {last}"]
    return []


def _taken_over(
    scene: Stage, image: str, before: Container, settings: Path
) -> list[str]:
    """Run another container on the same volumes, on a network of its own."""
    second = scene.container(
        _ports(), *_image(image), "--env-file", str(settings), "--network", "bridge"
    )
    second.options += ["--gw-port", str(second.gateway_port)]
    second.run()
    second.wait_healthy()
    second.key = before.key
    said = _ask(second)
    problems = [] if "Paris" in said else ["another container has not what there was"]
    if "not properly shut down" in second.logs():
        problems.append("Postgres had to recover after a stop")
    second.remove()
    return problems


# -- with a gateway elsewhere


def _without_gateway(images: dict[str, str], home: Path) -> list[str]:
    """Two containers: one with the gateway alone, one without; with --skip-gateway and with an image that has none."""
    problems = []
    for kind, options in (("usual", ["--skip-gateway"]), ("no-gateway", [])):
        with stage(images["usual"]) as scene:
            ports = _ports()
            settings = home / f"{kind}.env"
            settings.write_text(
                f"JWT_SECRET={secrets.token_urlsafe(48)}\nGW_WORKERS=1\nMCP_GATEWAY_URL=http://127.0.0.1:{ports[1]}\n"
            )
            hub = scene.container(
                ports, *_image(images[kind]), "--env-file", str(settings), *options
            )
            hub.run()
            gateway = _gateway_alone(scene, images["usual"], settings)
            try:
                hub.wait_healthy()
            except TimeoutError as error:
                problems.append(f"{kind} without gateway: {error}")
            if any(PROGRAMS["gateway"] in text for *_, text in hub.processes()):
                problems.append(f"{kind}: it runs a gateway all the same")
            docker("rm", "-f", gateway)
    print(f"a gateway elsewhere: {'used' if not problems else 'not used'}, twice")
    return problems


def _gateway_alone(scene: Stage, image: str, settings: Path) -> str:
    data, state = scene.volumes
    name = f"{scene.mark}-elsewhere"
    docker(
        "run", "-d", "--name", name, "--network", "host", "-v", f"{data}:/var/lib/mcp-host", "-v", f"{state}:/run/mcp-host",
        "-v", f"{settings}:/etc/mcp-host/.env:ro", image, "mcp-host", "gateway",
    )  # fmt: skip
    return name


# -- as the administration guide says


def _by_the_guide(home: Path) -> list[str]:
    """Run the guide's commands in their order, under names and ports that are free here."""
    settings = home / "guide.env"
    settings.write_text(f"JWT_SECRET={secrets.token_urlsafe(48)}\nGW_WORKERS=1\n")
    image = f"{IMAGE}:guide"
    problems = []
    with stage(image) as scene:
        made = scene.container(_ports())
        own = ["--name", made.name, *_image(image), *made.options]
        own += ["--gw-port", str(made.gateway_port)]
        for command in guide.commands(guide.CONTAINER):
            words = [
                word.replace("/etc/mcp-host/mcp-host.env", str(settings))
                for word in shlex.split(command)
            ]
            if words[0] == "docker":
                words[-1] = words[-1].replace("mcp-host", made.name)
            elif words[0].endswith("build_container.sh"):
                words += _image(image)
            else:
                words += own
            done = subprocess.run(
                words, cwd=ROOT, capture_output=True, text=True, check=False
            )
            if done.returncode:
                problems.append(f"the guide's {command}: {done.stderr[-500:]}")
        made.wait_healthy()
    print(f"the guide's commands: {'well' if not problems else 'not well'}")
    return problems


# -- emulated


def _emulated(image: str, home: Path) -> list[str]:
    """The other platform: both processes healthy, one killed, stopped."""
    problems = []
    settings = home / "arm.env"
    settings.write_text(f"JWT_SECRET={secrets.token_urlsafe(48)}\nGW_WORKERS=1\n")
    with stage(image) as scene:
        arm = scene.container(_ports(), *_image(image), "--env-file", str(settings))
        arm.is_slow = True
        arm.options += ["--gw-port", str(arm.gateway_port)]
        arm.run()
        arm.wait_healthy()
        if (machine := arm.exec("uname", "-m").strip()) != "aarch64":
            problems.append(f"it runs as {machine}")
        arm.kill("gateway")
        if (code := arm.wait_ended()) != CODES["gateway"]:
            problems.append(f"emulated: gateway killed, exit code {code}")
        docker("start", arm.name)
        arm.wait_healthy()
        problems += _stopped(arm)
    print(f"emulated arm64: {'well' if not problems else 'not well'}")
    return problems


def _image(name: str) -> list[str]:
    image, _, tag = name.rpartition(":")
    return ["--image", image, "--tag", tag]


def _ports() -> tuple[int, int]:
    return free_port(), free_port()
