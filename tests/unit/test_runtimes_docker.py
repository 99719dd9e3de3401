"""What the Docker executor decides, without an engine."""

import struct
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.core import labels
from appliance.runtimes import inspection
from appliance.runtimes.container import ImageFacts, container_config
from appliance.runtimes.frames import EPOCH, FrameReader, parse_line, parse_moment
from appliance.runtimes.isolation import Isolation
from appliance.runtimes.model import (
    ExecutorEvent,
    Instance,
    InstanceSpec,
    InstanceState,
    Limits,
    LogLine,
    Transport,
)
from appliance.runtimes.seccomp import security_option
from appliance.runtimes.subnets import free_subnets, routed
from appliance.runtimes.users import image_account

OWNER = "0a1b2c3d4e5f"
IMAGE = ImageFacts(
    "sha256:1",
    10001,
    10001,
    has_own_user=False,
    volume_is_ready=False,
    environment={"PATH": "/bin"},
)
STDIO = InstanceSpec(
    server_id=3,
    server_name="time",
    deployment_id=7,
    image="sha256:1",
    transport=Transport.STDIO,
    arguments=("--zone", "UTC"),
    environment={"TOKEN": "t", "CFG_OTHER": "o"},
    limits=Limits(cpus=0.5, memory_bytes=64 * 1024 * 1024),
    isolation=Isolation(pids=32, files=512),
)


def test_a_stdio_container_is_this_and_nothing_else() -> None:
    assert container_config(STDIO, IMAGE, owner=OWNER, network="net", volume="vol") == {
        "Image": "sha256:1",
        "Hostname": "time",
        "User": "10001:10001",
        "Env": ["HOME=/data", "CFG_TOKEN=t", "TOKEN=t", "CFG_OTHER=o"],
        "Labels": {
            "mcp-host.owner": OWNER,
            "mcp-host.server": "3",
            "mcp-host.deployment": "7",
            "mcp-host.instance": "mcp-time-7",
            "mcp-host.transport": "stdio",
            "mcp-host.port": "8000",
            "mcp-host.path": "/mcp",
            "mcp-host.purpose": "serve",
        },
        "OpenStdin": True,
        "StdinOnce": False,
        "Tty": False,
        "Healthcheck": {"Test": ["NONE"]},
        "Cmd": ["--zone", "UTC"],
        "HostConfig": {
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges:true", security_option()],
            "ReadonlyRootfs": True,
            "Tmpfs": {"/tmp": "rw,nosuid,nodev,exec,size=64m,mode=1777"},
            "Mounts": [
                {
                    "Type": "volume",
                    "Source": "vol",
                    "Target": "/data",
                    "VolumeOptions": {"NoCopy": False},
                }
            ],
            "Init": True,
            "IpcMode": "private",
            "OomScoreAdj": 500,
            "PidsLimit": 32,
            "Memory": 67108864,
            "MemorySwap": 67108864,
            "NanoCpus": 500000000,
            "Ulimits": [
                {"Name": "core", "Soft": 0, "Hard": 0},
                {"Name": "nofile", "Soft": 512, "Hard": 512},
            ],
            "NetworkMode": "net",
            "Dns": ["198.18.0.53"],
            "DnsSearch": ["."],
            "DnsOptions": ["timeout:2"],
            "LogConfig": {
                "Type": "local",
                "Config": {
                    "max-size": "4m",
                    "max-file": "2",
                    "compress": "false",
                    "mode": "non-blocking",
                    "max-buffer-size": "1m",
                },
            },
            "RestartPolicy": {"Name": "no"},
        },
    }


def test_an_http_container_is_published_on_loopback_and_told_where_to_listen() -> None:
    spec = replace(
        STDIO,
        transport=Transport.STREAMABLE_HTTP,
        port=3001,
        arguments=(),
        environment={"PORT": "9"},
    )

    config = container_config(spec, IMAGE, owner=OWNER, network="net", volume="vol")

    assert config["OpenStdin"] is False
    assert "Cmd" not in config
    assert config["ExposedPorts"] == {"3001/tcp": {}}
    assert "PortBindings" not in config["HostConfig"]
    assert {"HOST=0.0.0.0", "FASTMCP_PORT=3001", "MCP_HOST_HTTP_PORT=3001"} < set(
        config["Env"]
    )
    assert [item for item in config["Env"] if item.startswith("PORT=")] == ["PORT=9"]


def test_a_user_of_the_images_own_keeps_its_home() -> None:
    own = replace(
        IMAGE, uid=1000, gid=1001, has_own_user=True, environment={"HOME": "/home/node"}
    )

    config = container_config(STDIO, own, owner=OWNER, network="net", volume="vol")

    assert config["User"] == "1000:1001"
    assert not any(item.startswith("HOME=") for item in config["Env"])


PASSWD = "root:x:0:0::/root:/bin/sh\nnode:x:1000:1001::/home/node:/bin/sh\nbroken\ntoor:x:0:0::/:/bin/sh\n"


@pytest.mark.parametrize(
    ("user", "account"),
    [
        ("", None),
        ("root", None),
        ("0", None),
        ("0:0", None),
        ("toor", None),
        ("nobody-knows", None),
        ("node", (1000, 1001)),
        ("1000", (1000, 1001)),
        ("4711", (4711, 4711)),
        ("4711:12", (4711, 12)),
        ("node:12", (1000, 12)),
    ],
)
def test_root_and_strangers_are_nobodys_account(
    user: str, account: tuple[int, int] | None
) -> None:
    assert image_account(user, PASSWD) == account


def test_what_the_box_routes_is_taken_and_the_way_to_everywhere_is_not() -> None:
    table = (
        "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n"
        "eth0 00000000 0100000A 0003 0 0 0 00000000 0 0 0\n"
        "br0 2000D50A 00000000 0001 0 0 0 E0FFFFFF 0 0 0\n"
    )

    assert routed(table) == ["10.213.0.32/27"]


def test_the_lowest_free_subnet_comes_first() -> None:
    taken = [
        "10.213.0.0/27",
        "10.213.0.64/28",
        "172.17.0.0/16",
        "fd00::/64",
        "nonsense",
    ]

    assert list(islice(free_subnets("10.213.0.0/16", taken), 2)) == [
        "10.213.0.32/27",
        "10.213.0.96/27",
    ]


def test_a_taken_range_is_passed_over_whole() -> None:
    assert (
        next(iter(free_subnets("10.213.0.0/16", ["10.213.0.0/17"])))
        == "10.213.128.0/27"
    )


def test_a_pool_can_be_used_up() -> None:
    assert (
        list(free_subnets("10.213.0.0/26", ["10.213.0.0/27", "10.213.0.48/28"])) == []
    )


def frame(stream: int, payload: bytes) -> bytes:
    return struct.pack(">BxxxL", stream, len(payload)) + payload


@given(
    st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=40))),
    st.lists(st.integers(1, 30)),
)
def test_log_lines_do_not_depend_on_where_the_stream_is_cut(
    frames: list[tuple[int, bytes]], cuts: list[int]
) -> None:
    data = b"".join(frame(stream, payload) for stream, payload in frames)
    reader = FrameReader()
    found: list[LogLine] = []

    for size in [*cuts, len(data)]:
        found += reader.feed(data[:size])
        data = data[size:]
    found += reader.feed(data)

    assert found == [
        parse_line({1: "stdout", 2: "stderr"}[stream], payload)
        for stream, payload in frames
    ]


def test_a_log_line_has_its_moment() -> None:
    line = parse_line("stderr", b"2026-11-21T04:57:51.578676123Z hello  there\r\n")

    assert line == LogLine(
        datetime(2026, 11, 21, 4, 57, 51, 578676, UTC), "stderr", "hello  there"
    )
    assert parse_line("stdout", b"no moment here") == LogLine(
        EPOCH, "stdout", "no moment here"
    )


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-21T04:57:51Z", datetime(2026, 11, 21, 4, 57, 51, 0, UTC)),
        ("2026-11-21T04:57:51.5Z", datetime(2026, 11, 21, 4, 57, 51, 500000, UTC)),
        ("0001-01-01T00:00:00Z", None),
        ("", None),
        ("hello", None),
    ],
)
def test_the_engines_moments_are_read(text: str, moment: datetime | None) -> None:
    assert parse_moment(text) == moment


def seen(status: str = "running", **state: object) -> dict[str, object]:
    return {
        "Id": "abc",
        "Config": {
            "Labels": {
                labels.INSTANCE: "mcp-time-7",
                labels.SERVER: "3",
                labels.DEPLOYMENT: "7",
                labels.TRANSPORT: "streamable-http",
                labels.PORT: "8000",
                labels.PATH: "/mcp",
            }
        },
        "State": {
            "Status": status,
            "ExitCode": 0,
            "StartedAt": "0001-01-01T00:00:00Z",
            **state,
        },
        "NetworkSettings": {"Networks": {"net": {"IPAddress": "10.213.0.3"}}},
    }


def test_a_running_container_has_an_address() -> None:
    assert inspection.instance(seen()) == Instance(
        "mcp-time-7",
        "abc",
        3,
        7,
        InstanceState.RUNNING,
        "http://10.213.0.3:8000/mcp",
        attestation=inspection.NOT_ATTESTED,
    )


@pytest.mark.parametrize(
    ("runtime", "tier"),
    [
        ("runc", "standard"),
        ("runsc", "sandboxed"),
        ("kata-runtime", "vm"),
        ("of-our-own", "unknown"),
        ("", "unknown"),
    ],
)
def test_what_keeps_a_container_apart_is_what_the_engine_says(
    runtime: str, tier: str
) -> None:
    found = inspection.instance(seen() | {"HostConfig": {"Runtime": runtime}})

    assert (found.runtime, found.isolation_tier) == (runtime, tier)


def test_container_knows_by_which_decision_it_was_started_and_what_for() -> None:
    found = seen()
    found["Config"] = {
        "Labels": found["Config"]["Labels"]  # type: ignore[index]
        | {labels.DECISION: "17", labels.PURPOSE: "candidate"}
    }

    instance = inspection.instance(found)

    assert (instance.decision_id, instance.purpose) == (17, "candidate")


@pytest.mark.parametrize("status", ["exited", "dead", "removing"])
def test_one_that_ended_has_a_code_and_no_address(status: str) -> None:
    found = inspection.instance(seen(status, ExitCode=137, OOMKilled=True))

    assert (found.state, found.exit_code, found.out_of_memory, found.address) == (
        InstanceState.EXITED,
        137,
        True,
        "",
    )


def test_one_that_was_never_started_is_created() -> None:
    found = inspection.instance(seen("created"))

    assert (found.state, found.exit_code, found.started_at) == (
        InstanceState.CREATED,
        None,
        None,
    )


def test_an_event_names_server_and_deployment() -> None:
    attributes = {labels.SERVER: "3", labels.DEPLOYMENT: "7"}

    assert inspection.event(
        {"Action": "die", "Actor": {"Attributes": attributes}}
    ) == ExecutorEvent(3, 7, "die")


def test_our_tags_are_told_from_others() -> None:
    tag = labels.image_tag(OWNER, "time", 7)

    assert labels.is_own_tag(tag, OWNER)
    assert not labels.is_own_tag(tag, "ffffffffffff")
    assert not labels.is_own_tag(f"registry.example/time:{OWNER}-7", OWNER)
