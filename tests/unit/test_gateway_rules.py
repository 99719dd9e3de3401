"""The gateway's other rules: sessions, keys, origins, headers, addresses, counters, snapshots, eras."""

import base64
import json
import os
import time
import zlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.core.ids import internal_key, key_hash
from appliance.gateway.config import GatewayConfig, from_settings
from appliance.gateway.counters import Counters, Refused
from appliance.gateway.edge import headers, reading
from appliance.gateway.edge.guard import Guard
from appliance.gateway.edge.keys import Admission, Denial, admit, presented_key
from appliance.gateway.edge.sessions import (
    PACKED_LIMIT,
    Session,
    SessionSigner,
    pack,
    unpack,
)
from appliance.gateway.http.upstream import is_public
from appliance.gateway.protocol.header_values import header_value
from appliance.gateway.routes import Person, Route, RoutingTable, UserKey
from appliance.gateway.snapshot import Snapshot
from appliance.settings import load_settings

SECRET = "s" * 32
HUB = key_hash(internal_key(SECRET.encode()))
ROUTE = Route(server_id=1, name="a", owner_id=5, status="running", status_reason="")
#: Of organisations; both were brought by 5, who is in neither.
OURS = replace(ROUTE, server_id=3, name="ours", org_id=3)
THEIRS = replace(ROUTE, server_id=4, name="theirs", org_id=4)
TABLE = RoutingTable(
    routes={"a": ROUTE, "ours": OURS, "theirs": THEIRS},
    endpoint_keys={key_hash("endpoint-a"): 1, key_hash("endpoint-b"): 2},
    user_keys={
        key_hash("owner"): UserKey(5, expires_at=None),
        key_hash("other"): UserKey(6, expires_at=None),
        key_hash("admin"): UserKey(7, expires_at=100.0),
        key_hash("member"): UserKey(8, expires_at=None),
        key_hash("looks only"): UserKey(9, expires_at=None),
        key_hash("machine"): UserKey(None, expires_at=None, key_id=4, org_id=3),
    },
    loaded_at=0.0,
    people={
        5: Person(),
        6: Person(org_ids=frozenset({4})),
        7: Person(every_server=True),
        8: Person(org_ids=frozenset({3})),
    },
)
VISIBLE = st.text(
    st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=40
)


@given(
    VISIBLE,
    st.sampled_from(["1", "2", "b1"]),
    st.sampled_from(["hub", "user:1", "user:11", "server:1"]),
    st.sampled_from(["", pack({"protocolVersion": "2025-11-25"})]),
)
def test_a_session_id_is_good_for_its_owner_alone(
    upstream_id: str, place: str, principal: str, packed: str
) -> None:
    signer = SessionSigner(b"k" * 32)
    wrapped = signer.wrap(upstream_id, place, principal, packed)

    assert signer.unwrap(wrapped, place, principal) == Session(upstream_id, packed)
    assert signer.unwrap(wrapped, place + "1", principal) is None
    assert signer.unwrap(wrapped, place, principal + "1") is None
    assert signer.unwrap(wrapped.replace(".", ".A", 1), place, principal) is None
    assert SessionSigner(b"l" * 32).unwrap(wrapped, place, principal) is None


@given(st.text())
def test_no_text_is_a_session_id_by_chance(text: str) -> None:
    assert SessionSigner(b"k" * 32).unwrap(text, "1", "hub") is None


@given(st.dictionaries(st.text(), st.text()), st.integers(0, 3000))
def test_what_a_client_said_travels_in_its_session_id(
    capabilities: dict[str, str], length: int
) -> None:
    said = {
        "protocolVersion": "2025-11-25",
        "capabilities": capabilities,
        "clientInfo": {"name": "x" * length, "version": "1"},
        "_meta": {"left": "out"},
    }

    packed = pack(said)
    unpacked = json.loads(unpack(packed))

    assert len(packed) <= PACKED_LIMIT
    assert unpack(packed).isascii()
    assert "_meta" not in unpacked
    if unpacked:
        assert unpacked["protocolVersion"] == "2025-11-25"
        assert unpacked["capabilities"].keys() == capabilities.keys()


@pytest.mark.parametrize("packed", ["", "AAAA", "%", "eJyrrgUAAXUA-Q"])
def test_what_cannot_be_unpacked_says_nothing(packed: str) -> None:
    assert unpack(packed) == "{}"


def test_little_that_unpacks_to_much_says_nothing() -> None:
    bomb = base64.urlsafe_b64encode(zlib.compress(b'"' + b"a" * 9_000_000 + b'"'))

    assert unpack(bomb.decode().rstrip("=")) == "{}"


@pytest.mark.parametrize(
    ("key", "name", "at", "outcome"),
    [
        (None, "a", 0, Denial.NO_KEY),
        ("endpoint-a", "a", 0, "server:1"),
        ("endpoint-b", "a", 0, Denial.NOT_FOUND),
        ("endpoint-a", "nosuch", 0, Denial.NOT_FOUND),
        ("owner", "a", 0, "user:5"),
        ("other", "a", 0, Denial.NOT_FOUND),
        ("admin", "a", 99, "user:7"),
        ("admin", "a", 100, Denial.UNKNOWN_KEY),
        ("admin", "nosuch", 99, Denial.NOT_FOUND),
        ("owner", "ours", 0, Denial.NOT_FOUND),
        ("member", "ours", 0, "user:8"),
        ("member", "theirs", 0, Denial.NOT_FOUND),
        ("member", "a", 0, Denial.NOT_FOUND),
        ("other", "theirs", 0, "user:6"),
        ("admin", "theirs", 0, "user:7"),
        ("looks only", "a", 0, Denial.NOT_FOUND),
        ("machine", "ours", 0, "key:4"),
        ("machine", "theirs", 0, Denial.NOT_FOUND),
        ("machine", "a", 0, Denial.NOT_FOUND),
        ("guess", "a", 0, Denial.UNKNOWN_KEY),
        ("guess", "nosuch", 0, Denial.UNKNOWN_KEY),
        (internal_key(SECRET.encode()), "a", 0, "hub"),
        (internal_key(SECRET.encode()), "nosuch", 0, Denial.NOT_FOUND),
    ],
)
def test_a_key_opens_what_is_its_own(
    key: str | None, name: str, at: float, outcome: object
) -> None:
    admission = admit(TABLE, HUB, key, name, at=at)

    assert (
        admission.principal if isinstance(admission, Admission) else admission
    ) == outcome


@pytest.mark.parametrize(
    ("given_headers", "key"),
    [
        ({}, None),
        ({"Authorization": "Bearer k"}, "k"),
        ({"Authorization": "bearer  k "}, "k"),
        ({"Authorization": "Bearer "}, None),
        ({"Authorization": "Basic k"}, None),
        ({"X-API-Key": "k"}, "k"),
        ({"Authorization": "Bearer k", "X-API-Key": "other"}, "k"),
    ],
)
def test_the_key_is_found_in_either_header(
    given_headers: dict[str, str], key: str | None
) -> None:
    assert presented_key(given_headers) == key


@given(st.text())
def test_only_our_own_origins_pass(origin: str) -> None:
    guard = Guard(["mcp.example.org"])

    own = {"localhost", "127.0.0.1", "::1", "mcp.example.org"}
    if not any(name in origin.lower() for name in own):
        assert guard.refuses_origin(origin)


@pytest.mark.parametrize(
    "origin", ["https://mcp.example.org", "http://LOCALHOST:1", "http://[::1]:3000"]
)
def test_our_own_origins_do(origin: str) -> None:
    assert not Guard(["mcp.example.org"]).refuses_origin(origin)


def test_headers_that_nobody_listed_do_not_pass() -> None:
    sent = [("Authorization", "x"), ("Cookie", "x"), ("X-Gateway-Principal", "hub"), ("Connection", "close"),
            ("Mcp-Session-Id", "raw"), ("Mcp-Name", "n"), ("ACCEPT", "a"), ("X-Anything", "x")]  # fmt: skip

    assert headers.to_server(sent) == [("Mcp-Name", "n"), ("ACCEPT", "a")]
    assert headers.to_client([*sent, ("Set-Cookie", "x"), ("Content-Type", "t")]) == [
        ("Mcp-Name", "n"),
        ("Content-Type", "t"),
    ]


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("10.0.0.1", False),
        ("127.0.0.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),  # noqa: S104 - an address like any other here
        ("::1", False),
        ("::ffff:10.0.0.1", False),
        ("fd00::1", False),
        ("224.0.0.1", False),
        ("localhost", False),
    ],
)
def test_private_addresses_are_told_from_public_ones(
    address: str, *, public: bool
) -> None:
    assert is_public(address) is public


def test_processes_count_into_one_sum() -> None:
    counters = Counters(2)
    counters.row(0).calls([Refused(200, 0.003)])
    counters.row(1).calls([Refused(500, 500.0), Refused(204, 0.2), Refused(404, 0.005)])

    text = counters.render()

    assert 'mcp_gateway_calls_total{outcome="ok"} 2' in text
    assert 'mcp_gateway_calls_total{outcome="refused"} 1' in text
    assert 'mcp_gateway_calls_total{outcome="failed"} 1' in text
    assert 'mcp_gateway_call_duration_seconds_bucket{le="0.005"} 2' in text
    assert 'mcp_gateway_call_duration_seconds_bucket{le="0.25"} 3' in text
    assert 'mcp_gateway_call_duration_seconds_bucket{le="+Inf"} 4' in text
    assert "mcp_gateway_call_duration_seconds_sum 500.208" in text


def test_a_snapshot_gives_back_the_table_and_a_torn_one_nothing() -> None:
    snapshot = Snapshot()
    assert snapshot.load() is None

    snapshot.save(TABLE)
    assert snapshot.load() == TABLE
    snapshot.save(RoutingTable({}, {}, {}, time.time()))
    assert snapshot.load() is not None

    os.pwrite(snapshot.descriptor, b"torn", 45)
    assert snapshot.load() is None


def test_the_configuration_survives_its_way_to_the_lean_process_without_the_secret() -> (
    None
):
    settings = load_settings(
        jwt_secret=SECRET, public_url="https://mcp.example.org", gw_workers=3
    )
    config = from_settings(settings, "postgresql://u@/db?host=/run/x")

    text = config.to_json()

    assert GatewayConfig.from_json(text) == config
    assert SECRET not in text
    assert internal_key(SECRET.encode()) not in text
    assert config.port == 4444
    assert "mcp.example.org" in config.own_hosts


@given(st.text(max_size=20))
def test_packed_header_values_are_unpacked(value: str) -> None:
    packed = f"=?base64?{base64.b64encode(value.encode()).decode()}?="

    assert header_value(packed) == value


@pytest.mark.parametrize(
    "damaged",
    ["=?base64?%%?=", "=?base64?ZWNobw?=", "=?base64?/w==?=", "=?base64?ZWNobx==?="],
)
def test_damaged_header_values_match_nothing(damaged: str) -> None:
    assert header_value(damaged) is None


@pytest.mark.parametrize(
    ("params", "holds"),
    [
        (b'{"name":"x"}', False),
        (b'{"name":"x","arguments":{"requestState":"s","taskId":"t"}}', False),
        (b'{"name":"x","requestState":"s"}', True),
        (b'{"name":"x","request\\u0053tate":"s"}', True),
        (b'{"taskId":"t"}', True),
        (b'{"_meta":{"io.modelcontextprotocol/related-task":{"taskId":"t"}}}', True),
    ],
)
def test_a_message_is_known_to_bring_back_what_a_server_handed_out(
    params: bytes, *, holds: bool
) -> None:
    message = reading.decode(b'{"id":1,"method":"tools/call","params":%b}' % params)

    assert message.params is not None
    assert reading.hold_states(message.params) is holds
