"""Names that lead to one server each, as the gateway keeps them."""

import json

from appliance.core.oauth import Endpoint, Resource, resource_of
from appliance.gateway.edge.places import Place, place_at
from appliance.gateway.http.listener import Connection, Known, KnownHeads
from appliance.gateway.http.requests import parse_head
from appliance.gateway.names import (
    Name,
    Names,
    first_names,
    host_of,
    name_at,
    names_of,
    port_of,
    take_in,
)


class Nothing:
    """A plan of no interest."""

    is_kept = True
    body_limit = 0

    def begin(self, _connection: Connection, _body: bytes | None) -> None:
        raise AssertionError


NAMES = names_of(
    [
        ("b.org", "clock", None, 2, True),
        ("a.org", "clock", None, 3, True),
        ("first.org", "clock", None, 1, False),
        ("old.org", "clock", "a.org", 0, True),
        ("*.w.org", "wild", None, 4, True),
        ("x.w.org", "clock", None, 5, True),
    ]
)


def test_the_very_name_comes_before_the_base_and_that_before_a_wildcard() -> None:
    found = {
        host: name_at(NAMES, host, "w.org")
        for host in ("a.org", "x.w.org", "y.w.org", "z.y.w.org", "w.org", "c.org", "")
    }
    wild = name_at(NAMES, "y.w.org")

    servers = {host: name.server if name else None for host, name in found.items()}
    assert servers == {
        "a.org": "clock",
        "x.w.org": "clock",
        "y.w.org": "y",
    } | dict.fromkeys(("z.y.w.org", "w.org", "c.org", ""))
    assert wild == Name("y.w.org", "wild", None, 4, is_active=True)


def test_a_server_is_told_of_under_its_first_name_that_is_whole() -> None:
    assert first_names(NAMES) == {"clock": "b.org"}


def test_a_notification_says_all_that_changed() -> None:
    names: Names = {}

    assert take_in(names, json.dumps(["a.org", "clock", None, 7, False])) == "a.org"
    assert names == {"a.org": Name("a.org", "clock", None, 7)}
    assert take_in(names, json.dumps(["a.org", None, None, None, None])) == "a.org"
    assert names == {}


def test_hosts_and_ports_are_read_as_clients_write_them() -> None:
    assert [
        host_of(item) for item in ("A.Org:8443", "a.org.", "[::1]:80", "a:b", "")
    ] == ["a.org", "a.org", "::1", "a", ""]
    assert [port_of(item) for item in ("a.org:8443", "a.org", "a.org:443", "a:b")] == [
        ":8443",
        "",
        "",
        "",
    ]


def test_on_a_name_the_paths_are_short() -> None:
    name = Name("a.org", "clock")

    assert place_at(name, "/mcp/") == Place(
        "clock", is_bundle=False, door="mcp", host="a.org"
    )
    assert place_at(name, "/servers/clock/mcp") is None
    found = place_at(name, "/messages")
    assert found is not None
    assert (found.path, found.shown_base) == ("/servers/clock/messages", "")


def test_a_name_is_a_resource_of_its_own() -> None:
    at_name = Resource("https://a.org", Endpoint("domains", "a.org"))

    assert resource_of("https://A.org:443/mcp") == at_name
    assert resource_of("https://a.org/sse") == at_name
    assert resource_of("https://a.org:8443/mcp") != at_name
    for other in (
        "http://a.org/mcp",
        "https://a.org/",
        "https://a.org/mcp/x",
        "https://a.org/x/mcp",
        "https://a.org/mcp?x",
    ):
        assert resource_of(other) is None, other


def test_only_heads_that_name_a_changed_host_are_decided_about_anew() -> None:
    heads = KnownHeads()
    for host in ("a.org", "A.ORG", "b.org"):
        text = f"POST /mcp HTTP/1.1\r\nHost: {host}".encode()
        heads[text] = Known(text, parse_head(text), Nothing())

    heads.forget_named(b"a.org")

    assert [text[-5:] for text in heads] == [b"b.org"]
