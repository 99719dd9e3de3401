"""Who gets a container of their own, who makes room, and what the engine is asked for."""

from typing import Any

import pytest

from appliance.core import labels
from appliance.gateway.bridge.calls import Caller
from appliance.gateway.bridge.clones import clone_config, clone_name, session_key
from appliance.gateway.bridge.sharing import Housed, Sharing, gets_own, who_goes
from appliance.gateway.errors import SessionsFullError, TooManySessionsError

ABLE: dict[str, Any] = {"sampling": {}}


@pytest.mark.parametrize(
    ("mode", "caller", "asks", "own"),
    [
        ("shared", Caller("user:1", "s", ABLE), True, False),
        ("per-session", Caller("user:1", "s"), False, True),
        ("per-session", Caller("user:1"), False, True),
        ("per-session", Caller("hub", "s"), False, False),
        ("auto", Caller("user:1", "s", ABLE), False, False),
        ("auto", Caller("user:1", "s", ABLE), True, True),
        ("auto", Caller("user:1", "s", {"experimental": {}}), True, False),
    ],
)
def test_who_gets_a_container(mode: str, caller: Caller, asks: bool, own: bool) -> None:  # noqa: FBT001 - a table
    assert gets_own(mode, caller, server_asks=asks) is own


BOUNDS = Sharing("per-session", per_server=4, per_principal=2, idle_s=1)


def housed(key: str, principal: str, used: float, *, busy: bool = False) -> Housed:
    return Housed(key, principal, busy, used)


def test_while_there_is_room_nobody_goes() -> None:
    assert who_goes([housed("a", "ada", 1)], "ada", BOUNDS) is None


def test_who_has_its_share_gives_up_its_idlest_and_no_busy_one() -> None:
    present = [
        housed("old", "ada", 1, busy=True),
        housed("new", "ada", 3),
        housed("his", "bob", 0),
    ]

    assert who_goes(present, "ada", BOUNDS) == "new"


def test_who_is_busy_in_all_its_share_is_refused() -> None:
    present = [housed(key, "ada", 1, busy=True) for key in "ab"]

    with pytest.raises(TooManySessionsError) as caught:
        who_goes(present, "ada", BOUNDS)

    assert caught.value.retry_after_s > 0


def test_a_full_server_takes_nothing_from_others() -> None:
    present = [housed(str(number), f"user:{number}", 0) for number in range(4)]

    with pytest.raises(SessionsFullError):
        who_goes(present, "ada", BOUNDS)


def test_in_a_full_server_one_may_replace_what_is_ones_own() -> None:
    present = [housed(str(number), f"user:{number}", 0) for number in range(4)]

    assert who_goes(present, "user:2", BOUNDS) == "2"


def test_a_key_tells_sessions_and_principals_apart() -> None:
    callers = [
        Caller("user:1", "s"),
        Caller("user:1", "t"),
        Caller("user:2", "s"),
        Caller("user:1"),
    ]

    assert len({session_key(caller) for caller in callers}) == len(callers)
    same = Caller("user:1", "s", ABLE, listener="one of its subscriptions")
    assert session_key(same) == session_key(callers[0])


FOUND = {
    "Id": "0" * 64,
    "Name": "/mcp-time-7.owner",
    "Image": "sha256:feed",
    "Config": {
        "Image": "mcp-host/time:owner-7",
        "Hostname": "time",
        "User": "10001:10001",
        "Env": ["A=1"],
        "Labels": {labels.SERVER: "7", labels.OWNER: "owner"},
        "OpenStdin": True,
        "StdinOnce": False,
        "Tty": False,
        "MacAddress": "02:42:0a:d5:00:02",
    },
    "HostConfig": {"Init": True, "CapDrop": ["ALL"], "Memory": 1, "NetworkMode": "n"},
}


def test_a_sessions_container_is_made_like_its_instance() -> None:
    config = clone_config(FOUND, key="5e55", gateway="mine")

    assert config == {
        "Image": "sha256:feed",
        "Hostname": "time",
        "User": "10001:10001",
        "Env": ["A=1"],
        "Labels": {
            labels.SERVER: "7",
            labels.OWNER: "owner",
            labels.SESSION: "5e55",
            labels.GATEWAY: "mine",
        },
        "OpenStdin": True,
        "StdinOnce": True,
        "Tty": False,
        "HostConfig": FOUND["HostConfig"],
    }
    assert clone_name(FOUND, "5e55") == "mcp-time-7.owner.s-5e55"
