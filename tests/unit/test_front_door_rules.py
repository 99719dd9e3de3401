"""The front door: names, files and addresses."""

import asyncio
import stat
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from appliance.core.front_door import (
    BOX,
    certificate_file,
    challenge_file,
    is_host_name,
    is_wildcard,
    listen_addresses,
)
from appliance.infra.handed_files import Reader, hand_directory, hand_file
from appliance.infra.supervisor import programs
from appliance.proxy.model import DoorState, NginxState, Quarantined
from appliance.proxy.verdict import judge
from appliance.proxy.working import keep_going
from appliance.settings import Settings, SettingsError, load_settings

SECRET = "unit-" + "s" * 40
ROOT = Path("/p")


def made(**values: Any) -> Settings:
    return load_settings(jwt_secret=SECRET, **values)


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../etc/passwd",
        "a/b",
        "a..b",
        ".a",
        "a.",
        "-a.org",
        "a-.org",
        "A.org",
        "a b.org",
        "a\n.org",
        "a.org\n",
        "a_b.org",
        "münchen.de",
        "10.0.0.1",
        "[::1]",
        "*.example.org",
        "x" * 64 + ".org",
        ".".join(["a" * 60] * 5),
        "a;b.org",
        "$host",
        "a\0.org",
    ],
)
def test_what_is_no_name_of_a_host_names_no_file(name: str) -> None:
    assert not is_host_name(name)
    if not is_wildcard(name):
        with pytest.raises(ValueError, match="no host's name"):
            certificate_file(ROOT, name)


@pytest.mark.parametrize("token", ["", ".", "../x", "a/b", "a b", "a\n", "ä"])
def test_a_challenge_stays_in_its_directory(token: str) -> None:
    with pytest.raises(ValueError, match="base64url"):
        challenge_file(ROOT, token)


def test_certificates_lie_where_nginx_finds_them() -> None:
    found = [
        certificate_file(ROOT, host).name
        for host in ("xn--mnchen-3ya.de", "*.example.org", BOX)
    ]

    assert found == ["xn--mnchen-3ya.de.pem", "_.example.org.pem", "default.pem"]


def test_addresses_are_written_as_nginx_writes_them() -> None:
    assert listen_addresses("0.0.0.0, ::1 [::1]") == ("0.0.0.0", "[::1]")  # noqa: S104 - as it is set
    with pytest.raises(
        SettingsError, match="PROXY_BIND_ADDRESSES: 'eth0;' is no address"
    ):
        made(proxy_bind_addresses="eth0; x")


def test_behind_the_front_door_hub_and_gateway_are_reached_from_this_box_alone() -> (
    None
):
    closed = made(proxy_enabled=True, public_url="https://mcp.example.org")
    chosen = made(proxy_enabled=True, bind_address="10.0.0.5")

    assert closed.bind_address == closed.gateway_bind_address == "127.0.0.1"
    assert closed.gateway_public_url == "https://mcp.example.org"
    assert closed.believed_proxies == "127.0.0.0/8,::1"
    assert closed.box_names == ("mcp.example.org",)
    assert chosen.bind_address == "10.0.0.5"
    assert made().bind_address == "0.0.0.0"  # noqa: S104 - the documented default
    assert not made().believed_proxies
    assert made().gateway_public_url is None


def test_nothing_of_the_front_door_runs_unless_it_is_asked_for() -> None:
    names = [item.name for item in programs(made())]
    with_it = [item.name for item in programs(made(proxy_enabled=True))]

    assert set(with_it) - set(names) >= {"proxy"}
    assert "nginx" not in names


def test_a_file_is_replaced_whole_and_closed_to_others(tmp_path: Path) -> None:
    place = tmp_path / "door"
    hand_directory(place, Reader())

    hand_file(place / "a.pem", b"old", Reader())
    hand_file(place / "a.pem", b"new", Reader())

    assert (place / "a.pem").read_bytes() == b"new"
    assert stat.S_IMODE((place / "a.pem").stat().st_mode) == 0o600
    assert [item.name for item in place.iterdir()] == ["a.pem"]


class Failing:
    def __init__(self, seen: asyncio.Queue[str]) -> None:
        self._seen = seen

    async def run(self) -> None:
        self._seen.put_nowait("failed")
        raise ValueError("broken")


class Steady:
    def __init__(self) -> None:
        self.begun = 0

    async def run(self) -> None:
        self.begun += 1
        await asyncio.Event().wait()


async def test_work_that_fails_is_begun_again_and_disturbs_no_other() -> None:
    seen: asyncio.Queue[str] = asyncio.Queue()
    steady = Steady()
    going = asyncio.create_task(
        keep_going({"bad": Failing(seen), "good": steady}, first_pause_s=0.001)
    )

    for _ in range(3):
        await asyncio.wait_for(seen.get(), 5)

    assert steady.begun == 1
    assert not going.done()
    going.cancel()
    with pytest.raises(asyncio.CancelledError):
        await going


MOMENT = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
WELL = DoorState(
    seen_at=MOMENT,
    nginx=NginxState.RUNNING,
    version="1.22.1",
    generation="0123456789abcdef",
    reloaded_at=None,
    reload_s=None,
    problem="",
    certificates=1,
)
OUT = Quarantined("wildcard", "*.bad.example.com", "why")


@pytest.mark.parametrize(
    ("state", "health", "told"),
    [
        (WELL, "ok", "Nginx 1.22.1 serves 1 name beside"),
        (None, "degraded", "has not told anything yet"),
        (replace(WELL, seen_at=MOMENT - timedelta(hours=1)), "degraded", "serves on"),
        (replace(WELL, nginx=NginxState.STOPPED), "degraded", "Nginx does not run"),
        (replace(WELL, nginx=NginxState.STOPPED, version=""), "degraded", "apt-get"),
        (replace(WELL, problem="refused"), "degraded", "configuration: refused"),
        (replace(WELL, quarantined=(OUT,)), "degraded", "1 name left out: *.bad."),
        (replace(WELL, quarantined=(OUT,) * 5), "degraded", "and 2 more"),
    ],
)
def test_how_the_door_is_comes_with_what_to_do(
    state: DoorState | None, health: str, told: str
) -> None:
    found = judge(state, MOMENT, is_enabled=True)

    assert found.health == health
    assert told in found.text
    assert bool(found.hint) is (health != "ok")
    assert judge(None, MOMENT, is_enabled=False).health == "off"
