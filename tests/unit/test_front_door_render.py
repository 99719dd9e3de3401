"""What Nginx is told: data stays data, and what cannot be said is refused by name."""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from appliance.proxy import answers
from appliance.proxy.errors import UnsayableError
from appliance.proxy.model import Limits, Places, Plan
from appliance.proxy.plan import Box, plan_of
from appliance.proxy.render import generation_in, render
from appliance.proxy.sifting import sift
from appliance.proxy.snippets import GATEWAY_PATHS
from appliance.settings import load_settings

SECRET = "unit-" + "s" * 40
BOX = Box(is_root=True, has_ipv6=True, files=4096)
PLAN = Plan(
    places=Places(Path("/data/proxy"), Path("/run/nginx")),
    addresses=("127.0.0.1", "[::]"),
    http_port=80,
    https_port=443,
    hub="127.0.0.1:3000",
    gateway="127.0.0.1:4444",
    hub_names=("mcp.example.org",),
)


def changed(**values: Any) -> str:
    return render(replace(PLAN, **values))


def certificate_for(text: str, asked: str) -> str:
    """Return what Nginx's map makes of ``asked``: words first, then patterns in their order."""
    body = re.search(
        r"map \$ssl_server_name \$front_certificate \{\n(.*?)\n  \}", text, re.DOTALL
    )
    assert body is not None
    found = [line.strip().rstrip(";") for line in body[1].splitlines()]
    rows = [re.fullmatch(r'("?)(.*?)\1 "?([^" ]+)"?', line) for line in found]
    pairs = [(row[2], row[3]) for row in rows if row is not None]
    assert len(pairs) == len(found)
    for word, value in pairs:
        if word == asked:
            return value
    for word, value in pairs:
        if word.startswith("~") and re.search(word[1:].replace(r"\z", r"\Z"), asked):
            return value.replace("$ssl_server_name", asked)
    return dict(pairs)["default"]


@pytest.mark.parametrize(
    ("asked", "file"),
    [
        ("shop.example.com", "shop.example.com"),
        ("xn--mnchen-3ya.de", "xn--mnchen-3ya.de"),
        ("mcp.example.org", "default"),
        ("a.wild.org", "_.wild.org"),
        ("own.wild.org", "own.wild.org"),
        ("a.b.wild.org", "a.b.wild.org"),
        ("wild.org", "wild.org"),
        ("xwild.org", "xwild.org"),
        ("", "default"),
        ("localhost", "default"),
        ("default", "default"),
        ("SHOP.example.com", "default"),
        ("../../etc/passwd", "default"),
        ("..", "default"),
        ("a..b", "default"),
        (".example.com", "default"),
        ("example.com.", "default"),
        ("example.com\n", "default"),
        ("example.com/..", "default"),
        ("_.wild.org", "default"),
        ("*.wild.org", "default"),
        ("10.0.0.1", "default"),
        ("a\0.example.com", "default"),
        ("-a.example.com", "default"),
        ("x" * 64 + ".example.com", "default"),
        ("a." * 127 + "com", "default"),
        ("ex\xe4mple.com", "default"),
    ],
)
def test_what_a_client_asks_for_is_a_name_or_gets_the_boxs_own_certificate(
    asked: str, file: str
) -> None:
    text = changed(wildcards=("*.wild.org",), apart=("own.wild.org",))

    assert certificate_for(text, asked) == file


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("hub_names", ("a.org; return 200",)),
        ("hub_names", ("a.org\n}",)),
        ("hub_names", ("$host",)),
        ("gateway_names", ('a"b.org',)),
        ("wildcards", ("example.org",)),
        ("wildcards", ("*.exa mple.org",)),
        ("wildcards", ("*.*.org",)),
        ("apart", ("../x",)),
        ("addresses", ("0.0.0.0:80 default_server",)),
        ("addresses", ("::1",)),
        ("hub", "127.0.0.1:3000;"),
        ("hub", "unix:/run/x"),
        ("gateway", "gw:port"),
        ("trusted", ("10.0.0.1/8",)),
        ("user", "root root"),
        ("http_port", -1),
        ("files", -5),
        ("places", Places(Path('/data/"x'), Path("/run"))),
        ("places", Places(Path("/data"), Path("/run/$x"))),
        ("places", Places(Path("/data\n"), Path("/run"))),
        ("places", Places(Path("data"), Path("/run"))),
    ],
)
def test_a_value_that_could_mean_something_else_is_refused(
    field: str, value: object
) -> None:
    with pytest.raises(UnsayableError, match="cannot be written") as refused:
        changed(**{field: value})

    assert refused.value.hint


def test_no_limit_is_said_where_there_is_none() -> None:
    bounded = changed(limits=Limits(50, 10, 7))

    assert "limit_req zone" not in render(PLAN)
    assert "limit_conn " not in render(PLAN)
    assert "limit_req zone=front_requests burst=10 nodelay;" in bounded
    assert "limit_conn front_connections 7;" in bounded


def test_what_differs_has_another_generation_and_what_does_not_has_the_same() -> None:
    first = generation_in(render(PLAN))

    assert first == generation_in(render(replace(PLAN)))
    assert first != generation_in(changed(hsts_seconds=5))
    assert not generation_in("daemon off;")


def test_no_name_of_a_server_is_in_it() -> None:
    settings = load_settings(
        jwt_secret=SECRET,
        proxy_enabled=True,
        public_url="https://mcp.example.org",
        trusted_proxies="10.0.0.0/8,127.0.0.1",
    )

    plan = plan_of(settings, BOX, ["shop.example.com", "*.wild.org", "a.wild.org"])

    assert plan.wildcards == ("*.wild.org",)
    assert plan.apart == ("a.wild.org",)
    assert plan.trusted == ("10.0.0.0/8",)
    assert (plan.hub, plan.gateway) == ("127.0.0.1:3000", "127.0.0.1:4444")
    assert "shop.example.com" not in render(plan)


def test_a_box_without_ipv6_and_without_root_gets_what_it_can_have() -> None:
    settings = load_settings(jwt_secret=SECRET, proxy_enabled=True)

    plan = plan_of(settings, Box(is_root=False, has_ipv6=False, files=1024), ())

    assert plan.addresses == ("0.0.0.0",)  # noqa: S104 - as it is set
    assert plan.user is None
    assert "\nuser " not in render(plan)
    assert 2 * plan.connections <= 2 * plan.files


def test_a_gateway_beyond_tls_is_refused_by_name() -> None:
    settings = load_settings(
        jwt_secret=SECRET, proxy_enabled=True, mcp_gateway_url="https://gw.example.org"
    )

    with pytest.raises(UnsayableError, match="gateway at https://gw"):
        plan_of(settings, BOX, ())


@pytest.mark.parametrize(
    ("path", "is_gateways"),
    [
        ("/servers/weather/mcp", True),
        ("/servers/weather/mcp/", True),
        ("/servers/weather/mcp/server-card", True),
        ("/servers/weather/sse", True),
        ("/bundles/all/messages", True),
        ("/.well-known/oauth-protected-resource/servers/weather/mcp", True),
        ("/.well-known/oauth-authorization-server/servers/weather/mcp", True),
        ("/.well-known/oauth-authorization-server", False),
        ("/servers/12", False),
        ("/servers/12/tools", False),
        ("/servers/weather/mcpx", False),
        ("/servers/a/b/mcp", False),
        ("/api/servers", False),
        ("/", False),
    ],
)
def test_under_the_hubs_name_the_gateway_has_its_own_paths(
    path: str, *, is_gateways: bool
) -> None:
    pattern = GATEWAY_PATHS.replace(r"\z", r"\Z")

    assert bool(re.search(pattern, path)) is is_gateways


@pytest.mark.parametrize("who", ["hub", "gateway"])
def test_what_nginx_answers_itself_is_a_problem_and_a_page_that_nginx_can_hold(
    who: str,
) -> None:
    for status, told in (answers.away(who) | answers.REFUSALS).items():
        found = json.loads(answers.problem(told))

        assert found["status"] == status
        assert found["request_id"] == "$request_id"
        assert found["hint"]
        for text in (answers.problem(told), answers.page(told)):
            assert text.replace("$request_id", "").count("$") == 0
            assert len(text) < 4000


async def test_the_few_that_break_the_whole_are_found() -> None:
    tried: list[Sequence[str]] = []
    names = [f"n{number}" for number in range(64)]

    async def passes(items: Sequence[str]) -> bool:
        tried.append(items)
        return not {"n7", "n40"} & set(items)

    assert await sift(names, passes) == ("n7", "n40")
    assert len(tried) < 30

    async def nothing(_items: Sequence[str]) -> bool:
        return False

    assert await sift(names, nothing) == tuple(names)
