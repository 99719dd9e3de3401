"""Who asks where proxies stand between, how often they may, and whether the door stands open: the rules."""

from typing import Any

import pytest

from appliance.core.proxies import Caller, TrustedProxies, networks_of
from appliance.settings import SettingsError, load_settings
from appliance.web.doors import exposure
from appliance.web.paces import MAX_SUBJECTS, Budget

PROXIES = TrustedProxies(networks_of("127.0.0.1, 10.0.0.0/8 fd00::/8"))
DIRECT = Caller("127.0.0.1", "http", "10.1.1.1:3000")


@pytest.mark.parametrize(
    ("told", "address"),
    [
        ([], "127.0.0.1"),
        (["203.0.113.9"], "203.0.113.9"),
        # What stands first was made up by the caller, whom our proxy saw as 203.0.113.9.
        (["6.6.6.6, 203.0.113.9"], "203.0.113.9"),
        (["6.6.6.6", "203.0.113.9"], "203.0.113.9"),
        (["203.0.113.9, 10.0.0.7"], "203.0.113.9"),
        (["6.6.6.6, 203.0.113.9, 10.0.0.7"], "203.0.113.9"),
        (["10.0.0.8, 10.0.0.7"], "10.0.0.8"),
        (["203.0.113.9, nonsense"], "127.0.0.1"),
        (["203.0.113.9, nonsense, 10.0.0.7"], "10.0.0.7"),
        ([""], "127.0.0.1"),
        (["2001:db8::1"], "2001:db8::1"),
        (["[2001:db8::1]"], "2001:db8::1"),
    ],
)
def test_the_caller_is_whom_the_last_proxy_of_ours_saw(
    told: list[str], address: str
) -> None:
    assert PROXIES.caller(DIRECT, addresses=told).address == address


def test_who_is_no_proxy_of_ours_is_not_believed() -> None:
    direct = Caller("192.0.2.1", "http", "hub:3000")

    found = PROXIES.caller(
        direct, addresses=["6.6.6.6"], schemes=["https"], hosts=["evil.example"]
    )

    assert found == direct
    assert TrustedProxies().caller(DIRECT, addresses=["6.6.6.6"]) == DIRECT


def test_a_peer_in_ipv6_clothes_is_the_proxy_that_it_is() -> None:
    direct = Caller("::ffff:127.0.0.1", "http", "hub")

    assert PROXIES.caller(direct, addresses=["203.0.113.9"]).address == "203.0.113.9"


@pytest.mark.parametrize(
    ("scheme", "host", "expected"),
    [
        ("https", "mcp.example.org", ("https", "mcp.example.org")),
        ("HTTPS", "mcp.example.org:8443", ("https", "mcp.example.org:8443")),
        ("http, https", "evil.example, mcp.example.org", ("https", "mcp.example.org")),
        ("ftp", "evil.example/path", ("http", "10.1.1.1:3000")),
        ("", "a b", ("http", "10.1.1.1:3000")),
        ("javascript", "x@evil.example", ("http", "10.1.1.1:3000")),
    ],
)
def test_scheme_and_name_are_the_proxys_where_they_make_sense(
    scheme: str, host: str, expected: tuple[str, str]
) -> None:
    found = PROXIES.caller(DIRECT, schemes=[scheme], hosts=[host])

    assert (found.scheme, found.host) == expected


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("trusted_proxies", "nginx"),
        ("trusted_proxies", "10.0.0.1/8"),
        ("cors_origins", "ops.example.org"),
        ("cors_origins", "https://ops.example.org/app"),
    ],
)
def test_what_is_no_network_and_no_origin_is_refused(name: str, value: str) -> None:
    given: dict[str, Any] = {name: value}
    with pytest.raises(SettingsError, match=name.upper()):
        load_settings(jwt_secret="x" * 40, **given)


@pytest.mark.parametrize(
    ("given", "is_exposed"),
    [
        ({}, True),
        ({"bind_address": "192.0.2.1", "public_url": "http://mcp.example.org"}, True),
        ({"bind_address": "::"}, True),
        ({"bind_address": "127.0.0.1"}, False),
        ({"bind_address": "::1"}, False),
        ({"public_url": "https://mcp.example.org"}, False),
        ({"trusted_proxies": "10.0.0.1"}, False),
    ],
)
def test_a_hub_on_a_network_without_tls_says_what_to_do(
    given: dict[str, str],
    *,
    is_exposed: bool,
) -> None:
    arguments: dict[str, Any] = given
    told = exposure(load_settings(jwt_secret="x" * 40, **arguments))

    assert bool(told) is is_exposed
    assert not is_exposed or "TRUSTED_PROXIES" in told


def test_a_budget_is_spent_at_once_and_fills_up_by_itself() -> None:
    budget = Budget(60)

    passed = [budget.take("a", 100.0) for _ in range(60)]

    assert passed == [0] * 60
    assert budget.take("a", 100.0) == 1
    assert budget.take("b", 100.0) == 0
    assert budget.take("a", 101.0) == 0
    assert budget.take("a", 101.0) == 1
    assert all(Budget(0).take("a", 1.0) == 0 for _ in range(5))


def test_a_budget_remembers_no_more_than_it_may() -> None:
    budget = Budget(1)

    for number in range(MAX_SUBJECTS + 10):
        budget.take(str(number), 1.0)

    assert len(budget._full_at) == MAX_SUBJECTS
    assert budget.take(str(MAX_SUBJECTS), 1.0) > 0
