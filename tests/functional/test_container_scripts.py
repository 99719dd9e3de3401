"""What the scripts for the container image make of their options; nothing is built and nothing runs."""

import shlex
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


def _run(script: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [ROOT / "scripts" / script, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


def _command(script: str, *arguments: str) -> list[str]:
    """Return the docker command that the script would run."""
    done = _run(script, "--dry-run", *arguments)
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("+ ")]
    return shlex.split(line.removeprefix("+ "))


def _values(command: list[str], option: str) -> list[str]:
    return [value for word, value in pairwise(command) if word == option]


def test_every_option_of_building_is_in_the_command(tmp_path: Path) -> None:
    bundle, config = tmp_path / "ca.pem", tmp_path / "pip.conf"
    for path in (bundle, config):
        path.touch()

    command = _command(
        "build_container.sh",
        "--image", "team/appliance", "--tag", "1.2", "--dev", "--skip-gateway-setup", "--platform", "linux/arm64",
        "--buildx", "--base", "debian:trixie", "--ca-bundle", str(bundle), "--pip-config", str(config),
    )  # fmt: skip

    assert command[:5] == ["env", "DOCKER_BUILDKIT=1", "docker", "buildx", "build"]
    assert _values(command, "--tag") == ["team/appliance:1.2"]
    assert _values(command, "--platform") == ["linux/arm64"]
    assert {
        "BASE=debian:trixie",
        "HUB_INSTALL_TARGET=dev",
        "SKIP_GATEWAY_SETUP=1",
    } <= set(_values(command, "--build-arg"))
    assert _values(command, "--secret") == [
        f"id=ca,src={bundle}",
        f"id=pip,src={config}",
    ]


def test_an_image_without_a_tag_of_its_own_is_also_the_latest() -> None:
    command = _command("build_container.sh")

    assert command[2:4] == ["docker", "build"]
    assert len(_values(command, "--tag")) == 2
    assert _values(command, "--tag")[1] == "mcp-host:latest"


def test_every_option_of_running_is_in_the_command(tmp_path: Path) -> None:
    settings, bundle = tmp_path / "settings.env", tmp_path / "ca.pem"
    settings.write_text("JWT_SECRET=not-to-be-seen\n")
    bundle.touch()

    command = _command(
        "run_container.sh",
        "--image", "team/appliance", "--tag", "1.2", "--name", "box", "--app-port", "7300", "--gw-port", "7400",
        "--env-file", str(settings), "--data-volume", "box-files", "--gw-volume", str(tmp_path), "--egress",
        "--ca-bundle", str(bundle),
    )  # fmt: skip

    assert command[-1] == "team/appliance:1.2"
    assert _values(command, "--network") == ["host"]
    assert {"BIND_PORT=7300", "MCP_GATEWAY_URL=http://127.0.0.1:7400"} <= set(
        _values(command, "--env")
    )
    assert {
        "box-files:/var/lib/mcp-host",
        f"{tmp_path}:/run/mcp-host",
        f"{settings}:/etc/mcp-host/.env:ro",
        f"{bundle}:/etc/ssl/certs/ca-certificates.crt:ro",
        "/var/run/docker.sock:/var/run/docker.sock",
    } <= set(_values(command, "--volume"))
    assert "NET_ADMIN" in _values(command, "--cap-add")
    assert "not-to-be-seen" not in " ".join(command)


def test_on_a_network_of_its_own_its_ports_are_published() -> None:
    command = _command("run_container.sh", "--network", "bridge", "--app-port", "7300")

    assert _values(command, "--publish") == ["7300:3000", "4444:4444"]
    assert "GATEWAY_PUBLIC_URL=http://127.0.0.1:4444" in _values(command, "--env")
    assert "NET_ADMIN" not in _values(command, "--cap-add")


def test_without_a_gateway_its_port_is_not_published(tmp_path: Path) -> None:
    settings = tmp_path / "settings.env"
    settings.write_text(
        "MCP_GATEWAY_URL=http://gateway.example.org:4444\nDATABASE_URL=postgresql://x/y\n"
    )

    command = _command(
        "run_container.sh", "--network", "bridge", "--skip-gateway", "--env-file", str(settings)
    )  # fmt: skip

    assert _values(command, "--publish") == ["3000:3000"]
    assert "GATEWAY_SKIP_START=1" in _values(command, "--env")
    assert not [
        word for word in _values(command, "--env") if word.startswith("MCP_GATEWAY_URL")
    ]


@pytest.mark.parametrize(
    ("script", "arguments", "words"),
    [
        ("build_container.sh", ("--tag",), "--tag needs a value"),
        ("build_container.sh", ("--image", "--dev"), "--image needs a value"),
        ("build_container.sh", ("--image", "Team:1"), "--image is the name"),
        ("build_container.sh", ("--tag", "a b"), "--tag is letters"),
        ("build_container.sh", ("--platform", "linux/riscv64"), "--platform is"),
        ("build_container.sh", ("--platform", "linux/amd64,linux/arm64"), "--platform takes one"),
        ("build_container.sh", ("--ca-bundle", "/nonexistent"), "--ca-bundle names"),
        ("build_container.sh", ("--frobnicate",), "Unknown option: --frobnicate"),
        ("run_container.sh", ("--app-port", "70000"), "--app-port is a port"),
        ("run_container.sh", ("--gw-port", "http"), "--gw-port is a port"),
        ("run_container.sh", ("--app-port", "4444"), "--app-port and --gw-port are both 4444"),
        ("run_container.sh", ("--env-file", "/nonexistent"), "--env-file names"),
        ("run_container.sh", ("--data-volume", "a volume"), "--data-volume is a name"),
        ("run_container.sh", ("--gw-volume", "/a:b"), "--gw-volume names a directory"),
        ("run_container.sh", ("--network", "none"), "--network is host or bridge"),
        ("run_container.sh", ("--engine-socket", "/etc/passwd"), "--engine-socket names no socket"),
        ("run_container.sh", ("--skip-gateway",), "MCP_GATEWAY_URL"),
        ("run_container.sh", ("--skip-gateway", "--gw-port", "1"), "--gw-port and --skip-gateway"),
        ("run_container.sh", ("--network", "bridge", "--egress"), "--egress needs --network host"),
        ("run_container.sh", ("extra",), "Unknown option: extra"),
    ],
)  # fmt: skip
def test_a_wrong_option_is_named_and_nothing_happens(
    script: str, arguments: tuple[str, ...], words: str
) -> None:
    done = _run(script, "--dry-run", *arguments)

    assert done.returncode == 1
    assert words in done.stderr
    assert "+ " not in done.stderr


@pytest.mark.parametrize(
    ("script", "options"),
    [
        ("build_container.sh", "--image --tag --dev --skip-gateway-setup --platform --buildx --base --ca-bundle --pip-config"),
        ("run_container.sh", "--image --tag --app-port --gw-port --skip-gateway --env-file --data-volume --gw-volume --egress"),
        ("run_prod.sh", "--health STOP_SECONDS START_SECONDS 70 71 72 73 74 75 78"),
    ],
)  # fmt: skip
def test_help_tells_every_option(script: str, options: str) -> None:
    told = _run(script, "--help").stdout

    assert [word for word in options.split() if word not in told] == []
