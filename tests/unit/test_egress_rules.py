"""Rules of egress: what an entry means, which address a name gets, what a name may lead to, what is declared."""

import socket
from datetime import UTC, datetime

import pytest

from appliance.core.egress import EgressMode, EgressPolicy, covers, problems, server_of
from appliance.core.routes import parse_routes
from appliance.egress import rules, wire
from appliance.egress.links import bridges_among, may_administer
from appliance.egress.nflog import Denied, parse_packet
from appliance.egress.policies import Board, Policy, Rule, policy_of, verdict
from appliance.egress.records import NAMES_BELOW, Attempt, Records
from appliance.servers.config import changes_what_runs
from appliance.servers.egress import denials
from appliance.servers.egress.declared import addresses, declared, effective
from appliance.servers.egress.model import Attempt as Line
from appliance.servers.model import ServerConfig
from appliance.sources.model import Ecosystem, GitSource, PackageSource

FETCH = PackageSource(Ecosystem.PYPI, "mcp-server-fetch", "2025.4.7")
AT = datetime(2026, 1, 1, tzinfo=UTC)
PLAIN = PackageSource(Ecosystem.NPM, "somebodys-server")


@pytest.mark.parametrize(
    ("entry", "name", "is_meant"),
    [
        ("api.example.com", "api.example.com", True),
        ("*.example.com", "a.b.example.com", True),
        ("*.example.com", "example.com", False),
        ("*.example.com", "badexample.com", False),
        ("api.example.com", "x.api.example.com", False),
    ],
)
def test_a_wildcard_means_what_is_below_it(
    entry: str, name: str, *, is_meant: bool
) -> None:
    assert covers(entry, name) is is_meant


def test_private_entries_must_be_hosts() -> None:
    assert problems(EgressPolicy(hosts=("a.b:1",), private=("c.d:2",)))
    assert not problems(EgressPolicy(hosts=("a.b:1",), private=("a.b:1",)))


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "169.254.169.254", "0.0.0.0", "224.0.0.1"],  # noqa: S104 - an address that is nobody's
)
def test_what_is_never_reached_cannot_be_allowed(host: str) -> None:
    assert "never" in problems(EgressPolicy(hosts=(f"{host}:80",)))["egress.hosts"]


def test_a_bridge_says_whose_it_is() -> None:
    assert server_of("mcpc0ffee-", "mcpc0ffee-1z") == 71
    assert server_of("mcpc0ffee-", "docker0") is None
    assert server_of("mcpc0ffee-", "mcpc0ffee-") is None


def test_a_name_has_the_same_address_after_a_restart_and_nobody_elses() -> None:
    policies = {
        number: Policy("allow-list", (Rule(f"h{number}.example", 443),))
        for number in range(500)
    }
    one, other = Board(), Board()

    one.replace(policies)
    other.replace(policies)

    assert one.names.by_name == other.names.by_name
    assert len(one.names.by_address) == 500
    assert "198.18.0.53" not in one.names.by_address


def test_a_name_below_a_wildcard_passes_only_where_it_was_asked_for() -> None:
    board = Board()
    board.replace(
        {1: Policy("allow-list", (Rule("*.example", 443),)), 2: Policy("none")}
    )

    address, is_new = board.ask(1, "a.example")

    assert is_new
    assert list(board.allowed()) == [(1, address, 443)]
    assert not board.ask(1, "a.example")[1]
    board.replace({1: Policy("allow-list", (Rule("b.example", 443),))})
    assert [item[2] for item in board.allowed()] == [443]
    assert board.names.address("b.example") != address


def test_learning_gives_a_name_an_address_and_lets_nothing_pass() -> None:
    board = Board()
    board.replace({1: Policy("allow-list", learn=True)})

    _, is_new = board.ask(1, "anything.example")

    assert not is_new
    assert list(board.allowed()) == []


@pytest.mark.parametrize(
    ("address", "port", "private", "local", "why"),
    [
        ("93.184.216.34", 443, False, False, ""),
        ("10.0.0.5", 5432, False, False, "private"),
        ("10.0.0.5", 5432, True, False, ""),
        ("169.254.169.254", 80, True, False, "never"),
        ("127.0.0.1", 80, True, True, "never"),
        ("::1", 80, True, True, "never"),
        ("::ffff:169.254.169.254", 80, True, False, "never"),
        ("64:ff9b::a9fe:a9fe", 80, True, False, "IPv6"),
        ("10.213.0.35", 8000, True, False, "another server"),
        ("93.184.216.34", 3000, True, True, "this appliance"),
        ("93.184.216.34", 443, False, True, "private"),
        ("198.18.0.53", 53, True, False, "never"),
        ("168.63.129.16", 80, True, False, "never"),
    ],
)
def test_what_a_name_led_to_is_looked_at(
    address: str, port: int, why: str, *, private: bool, local: bool
) -> None:
    found = verdict(
        address,
        port,
        rule=Rule("name.example", port, private),
        pool="10.213.0.0/16",
        is_local=local,
        own_ports=(3000, 4444),
    )

    assert (why in found) if why else (found == "")


def test_rows_become_policies() -> None:
    row = {"mode": "allow-list", "hosts": ["a.b:1", "*.c.d:2"], "private": ["a.b:1"]}

    found = policy_of({**row, "learn": False})

    assert found.rules == (Rule("a.b", 1, private=True), Rule("*.c.d", 2))
    assert found.rule("x.c.d", 2) == Rule("*.c.d", 2)
    assert found.rule("x.c.d", 3) is None


def test_the_firewall_speaks_of_our_bridges_alone_and_drops_what_no_rule_lets_pass() -> (
    None
):
    ground = rules.Ground("mcpc0ffee-", "10.213.0.0/16", 1053, 1080, 4711)

    text = rules.skeleton(
        ground,
        rules.elements(ground.prefix, [(71, "198.18.1.2", 443)]),
        rules.bridges(ground.prefix, [3]),
    )

    assert '"mcpc0ffee-1z" . 198.18.1.2 . 443' in text
    assert 'elements = { "mcpc0ffee-3" }' in text
    arriving = text[text.index("chain arriving") : text.index("chain led")]
    lines = [line.strip() for line in arriving.splitlines()]
    assert lines[2] == 'iifname != "mcpc0ffee-*" accept'
    assert lines[lines.index("}") - 1] == "drop"
    assert "flush ruleset" not in text


def test_a_question_is_read_and_answered() -> None:
    packet = (
        b"\x12\x34\x01\x00\x00\x01\0\0\0\0\0\0\x03API\x07example\x00\x00\x01\x00\x01"
    )

    question = wire.parse(packet)

    assert question
    assert (question.name, question.type_name) == ("api.example", "A")
    answer = wire.answer(question, address="198.18.1.2")
    assert answer[:2] == b"\x12\x34"
    assert answer.endswith(socket.inet_aton("198.18.1.2"))
    assert wire.answer(question, wire.NO_SUCH_NAME)[3] & 15 == 3


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        b"\0" * 12,
        b"\x12\x34\x01\x00\x00\x01\0\0\0\0\0\0\xc0\x0c\0\1\0\1",
        b"\x12\x34\x01\x00\x00\x01\0\0\0\0\0\0\x3fshort",
        b"\x12\x34\x81\x00\x00\x01\0\0\0\0\0\0\x01a\x00\x00\x01\x00\x01",
    ],
)
def test_what_is_no_question_has_no_answer(packet: bytes) -> None:
    assert wire.parse(packet) is None


def test_a_denied_packet_is_read() -> None:
    head = b"\x45\0\0\x28\0\0\0\0\x40\x06\0\0" + socket.inet_aton("10.0.0.3")
    packet = head + socket.inet_aton("1.1.1.1") + b"\x80\0\x01\xbb"

    assert parse_packet(7, packet) == Denied(7, "tcp", "1.1.1.1", 443)
    assert parse_packet(7, b"\x60" + packet[1:]) is None


def test_the_routes_name_our_bridges() -> None:
    text = (
        "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"
        "eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
        "mcpc0ffee-1z\t2000D50A\t00000000\t0001\t0\t0\t0\tE0FFFFFF\t0\t0\t0\n"
    )

    (bridge,) = bridges_among(parse_routes(text), "mcpc0ffee-")

    assert (bridge.server, str(bridge.network)) == (71, "10.213.0.32/27")


def test_names_of_a_tunnel_become_one_line() -> None:
    records = Records()

    for number in range(1000):
        records.add(Attempt(1, f"{number}.t.evil.example", 0, "dns", allowed=False))

    assert len(records.tallies) == NAMES_BELOW + 1
    assert sum(tally.attempts for tally in records.take().values()) == 1000


def test_what_could_not_be_written_is_counted_again() -> None:
    records, attempt = Records(), Attempt(1, "1.1.1.1", 443, "tcp", allowed=False)
    records.add(attempt, reason="no")
    taken = records.take()
    records.add(attempt)

    records.put_back(taken.items())

    assert records.tallies[attempt].attempts == 2
    assert records.tallies[attempt].reason == "no"


def test_settings_that_are_addresses_are_declared() -> None:
    config = ServerConfig(
        arguments=("--url=https://api.example.com/v1",),
        environment={
            "DATABASE_URL": "postgresql://u:p@db.example.org/x",
            "BASE": "http://localhost:8000",
            "BRAVE_API_KEY": "k",
        },
    )

    assert declared(PLAIN, config, ["NOTION_TOKEN"]) == {
        "api.search.brave.com:443": "the setting BRAVE_API_KEY is for it",
        "api.notion.com:443": "the setting NOTION_TOKEN is for it",
        "db.example.org:5432": "the setting DATABASE_URL has it",
        "api.example.com:443": "an argument has it",
    }


def test_strange_addresses_are_passed_over() -> None:
    assert list(addresses("http://[::1 https:// http://:80 redis://0.0.0.0")) == []


def test_packages_and_repositories_reach_what_they_declare_and_known_ones_what_they_need() -> (
    None
):
    found = {"api.example.com:443": "why"}

    assert effective(None, PLAIN, found) == EgressPolicy(hosts=("api.example.com:443",))
    assert effective(None, GitSource("https://h/r.git"), {}).hosts == ()
    assert effective(None, FETCH, {}).mode is EgressMode.OPEN


def test_services_are_reached_whatever_was_chosen_but_by_none() -> None:
    chosen = EgressPolicy(hosts=("a.b:1",))

    found = effective(chosen, PLAIN, {"c.d:2": ""}, ["10.0.0.5:6379"])

    assert found.hosts == ("a.b:1", "10.0.0.5:6379")
    assert found.private == ("10.0.0.5:6379",)
    none = EgressPolicy(mode=EgressMode.NONE)
    assert effective(none, PLAIN, {}, ["10.0.0.5:6379"]) == none


def line(destination: str, port: int, protocol: str) -> Line:
    return Line(
        destination,
        port,
        protocol,
        allowed=False,
        reason="no",
        attempts=1,
        bytes_sent=0,
        bytes_received=0,
        first_at=AT,
        last_at=AT,
    )


def test_what_was_denied_is_proposed_where_it_can_be_allowed() -> None:
    denied = [
        line("api.example.com", 8443, "tcp"),
        line("api.example.com", 0, "dns"),
        line("other.example.com", 0, "dns"),
        line("8.8.8.8", 53, "udp"),
        line("*.evil.example", 0, "dns"),
        line("known.example", 443, "tcp"),
        line("postgres", 0, "dns"),
        line("10.0.0.5", 5432, "tcp"),
        line("169.254.169.254", 80, "tcp"),
    ]

    found = denials.proposals(denied, EgressPolicy(hosts=("known.example:443",)))

    assert found == (
        "api.example.com:8443",
        "other.example.com:443",
    )


def test_a_failed_start_tells_what_it_was_kept_from() -> None:
    denied = [line(f"h{n}.example", 443, "tcp") for n in range(5)]

    assert denials.sentence([]) == ""
    assert (
        "h0.example:443, h1.example:443, h2.example:443 and 2 more"
        in denials.sentence(denied)
    )


def test_where_it_may_go_does_not_change_what_runs() -> None:
    after = ServerConfig(egress=EgressPolicy(hosts=("a.example:443",)))

    assert not changes_what_runs(ServerConfig(), after)


@pytest.mark.parametrize(
    ("effective", "may"),
    [
        ("000001ffffffffff", True),  # root
        ("0000000000001000", True),  # the capability alone
        ("0000000000000000", False),
        ("00000000a80425fb", False),  # root in a container that was given nothing
    ],
)
def test_rights_are_a_capability_whoever_has_it(effective: str, *, may: bool) -> None:
    status = f"Name:\tx\nCapPrm:\t000001ffffffffff\nCapEff:\t{effective}\nCapBnd:\t000001ffffffffff\n"

    assert may_administer(status) is may
