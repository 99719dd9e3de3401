"""Domains: which names may be had, what DNS shows, when to look again, and where names may lead."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from appliance.core.dns import addresses_of, resolvers_of
from appliance.domains.errors import DomainInUseError, InvalidDomainError
from appliance.domains.model import (
    CertificateKind,
    Domain,
    Proof,
    Status,
    TxtBecause,
    challenge_name,
)
from appliance.domains.names import BoxNames, host_of, shown, wildcard_over
from appliance.domains.ownership import Answers, judge, records
from appliance.domains.pace import (
    LONGEST,
    SLOW,
    TELL_AFTER,
    TRIES,
    is_to_tell,
    next_look,
    next_recheck,
)
from appliance.domains.redirects import require_unused, target_of

BOX = BoxNames({"hub.example.org", "gw.example.org"}, base="mcp.example.net")
HERE = ("203.0.113.7", "2001:db8::7")
MADE = datetime(2026, 1, 1, tzinfo=UTC)


def domain(host: str = "a.example.com", **values: object) -> Domain:
    made = Domain(
        id=1, server_id=1, server_name="clock", host=host, redirect_to=None, challenge="mcp-host=abc",
        txt_because=TxtBecause.NONE, verified_by=None, verified_at=None, certificate_kind=CertificateKind.ACME,
        certificate_id=None, certificate=None, status=Status.PENDING, reason="", found="", checks=0, checked_at=None,
        next_check_at=None, away_since=None, told_at=None, created_by="ada", created_at=MADE, owner=1,
    )  # fmt: skip
    return replace(made, **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("typed", "host"),
    [
        ("mcp.acme.com", "mcp.acme.com"),
        ("  MCP.Acme.com ", "mcp.acme.com"),
        ("Bücher.example.com", "xn--bcher-kva.example.com"),
        ("faß.example.com", "xn--fa-hia.example.com"),
        ("xn--bcher-kva.example.com", "xn--bcher-kva.example.com"),
        ("例え.テスト", "xn--r8jz45g.xn--zckzah"),
        ("*.acme.com", "*.acme.com"),
        ("*.Bücher.example", "*.xn--bcher-kva.example"),
        ("acme.co.uk", "acme.co.uk"),
    ],
)
def test_a_name_is_kept_as_dns_has_it(typed: str, host: str) -> None:
    assert host_of(typed, BOX) == host


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("", "empty"),
        ("https://acme.com", "scheme"),
        ("acme.com/mcp", "path"),
        ("ada@acme.com", "user"),
        ("acme.com:8443", "port"),
        ("192.0.2.1", "IP address"),
        ("2001:db8::1", "IP address"),
        ("[2001:db8::1]", "IP address"),
        ("10.1", "IP address"),
        ("acme.com.", "dot"),
        ("_mcp.acme.com", "underscore"),
        ("a b.com", "space"),
        ("localhost", "one label"),
        ("*.com", "top-level"),
        ("*.co.uk", "registered below"),
        ("co.uk", "registered below"),
        ("a.*.com", "star"),
        ("*", "star"),
        ("a*.acme.com", "star"),
        ("x.localhost", ".localhost"),
        ("-a.acme.com", "hyphen"),
        ("a..acme.com", "no name"),
        ("a" * 64 + ".com", "63"),
        (".".join(["a" * 60] * 4) + ".com", "too long"),
        ("xn--zzzzz99999.com", "no name"),
        ("hub.example.org", "own name"),
        ("HUB.example.org", "own name"),
        ("*.example.org", "take in"),
        ("mcp.example.net", "belong to this box"),
        ("x.y.mcp.example.net", "belong to this box"),
        ("*.example.net", "take in"),
    ],
)
def test_a_name_that_cannot_be_had_is_refused_with_the_reason(
    typed: str, said: str
) -> None:
    with pytest.raises(InvalidDomainError) as caught:
        host_of(typed, BOX)

    assert said in caught.value.fields["host"]


def test_names_are_shown_in_their_own_letters() -> None:
    assert shown("*.xn--bcher-kva.example.com") == "*.bücher.example.com"
    assert shown("xn--zzzzz99999.com") == "xn--zzzzz99999.com"
    assert [wildcard_over(item) for item in ("a.b.org", "*.b.org", "b.org")] == ["*.b.org", "", ""]  # fmt: skip
    assert challenge_name("*.b.org") == challenge_name("b.org") == "_mcp-host.b.org"


def test_addresses_that_all_lead_here_show_whose_a_name_is() -> None:
    answers = Answers(addresses=HERE, aliases=("lb.example.com",))

    found = judge(domain(), answers, HERE)

    assert (found.proof, found.points_here, found.reason) == (Proof.ADDRESS, True, "")
    assert "CNAME lb.example.com; addresses 203.0.113.7, 2001:db8::7" in found.found


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        (Answers(), "no address in DNS yet; point it to 203.0.113.7, 2001:db8::7"),
        (Answers(addresses=("198.51.100.1",)), "points to 198.51.100.1; point it to"),
        (Answers(addresses=(HERE[0], "2001:db8::bad")), "led to 2001:db8::bad; remove"),
        (Answers(problem="no resolver answered"), "could not be asked: no resolver"),
        (Answers(texts=("mcp-host=other",)), "no address in DNS yet"),
    ],
)
def test_anything_else_is_told_with_what_to_set(answers: Answers, said: str) -> None:
    found = judge(domain(), answers, HERE)

    assert found.proof is None
    assert said in found.reason


def test_the_text_record_shows_it_too_and_a_name_that_leads_elsewhere_is_warned_of() -> (
    None
):
    answers = Answers(addresses=("198.51.100.1",), texts=("x", "mcp-host=abc"))

    found = judge(domain(), answers, HERE)

    assert (found.proof, found.points_here) == (Proof.TXT, False)
    assert "points to 198.51.100.1" in found.reason


@pytest.mark.parametrize("because", [item for item in TxtBecause if item])
def test_where_an_address_shows_nothing_the_text_record_is_asked_for(
    because: TxtBecause,
) -> None:
    claimed = domain("*.example.com", txt_because=because)

    by_address = judge(claimed, Answers(addresses=HERE), HERE)
    by_text = judge(claimed, Answers(addresses=HERE, texts=("mcp-host=abc",)), HERE)

    assert by_address.proof is None
    assert "There is no TXT record _mcp-host.example.com yet." in by_address.reason
    assert (by_text.proof, by_text.reason) == (Proof.TXT, "")
    assert records(claimed, HERE)[0].type == "TXT"


def test_the_records_to_set_are_told_exactly() -> None:
    told = [(item.type, item.name, item.value) for item in records(domain(), HERE)]

    assert told == [
        ("A", "a.example.com", "203.0.113.7"),
        ("AAAA", "a.example.com", "2001:db8::7"),
        ("TXT", "_mcp-host.a.example.com", "mcp-host=abc"),
    ]


def test_a_claim_is_looked_at_soon_then_ever_more_seldom_and_at_last_no_more() -> None:
    soon, day, month = timedelta(), timedelta(days=2), timedelta(days=30)

    assert [next_look(item, soon) for item in (1, 2, 3)] == [timedelta(seconds=5 * item) for item in (1, 2, 4)]  # fmt: skip
    assert next_look(10_000, soon) == LONGEST
    assert next_look(TRIES + 1, day) == SLOW
    assert next_look(TRIES + 1, month) is None
    assert next_look(1, month) == timedelta(seconds=5), "somebody has just asked"


def test_verified_names_are_looked_at_again_spread_out_and_sooner_when_away() -> None:
    paces = {next_recheck(item, is_away=False) for item in range(1, 200)}

    assert len(paces) > 150
    assert next_recheck(1, is_away=True) < min(paces)
    assert not is_to_tell(MADE, None, MADE + TELL_AFTER - timedelta(seconds=1))
    assert is_to_tell(MADE, None, MADE + TELL_AFTER)
    assert not is_to_tell(MADE, MADE, MADE + 2 * TELL_AFTER), "it is told once"
    assert not is_to_tell(None, None, MADE)


def test_a_name_sends_its_visitors_to_one_that_is_served_and_in_no_circle() -> None:
    served = {"verified_at": MADE, "verified_by": Proof.TXT}
    old = domain("old.example.com", id=1, **served)
    new = domain("new.example.com", id=2, **served)
    onward = domain("c.example.com", id=3, redirect_to="new.example.com", **served)
    wild = domain("*.example.com", id=4, **served)
    pending = domain("p.example.com", id=5)
    names = [old, new, onward, wild, pending]

    assert target_of(old, "new.example.com", names) == "new.example.com"
    for item, target in (
        (old, "old.example.com"), (old, "other.example.com"), (old, "p.example.com"), (old, "*.example.com"),
        (old, "c.example.com"), (new, "old.example.com"),
    ):  # fmt: skip
        with pytest.raises(InvalidDomainError):
            target_of(item, target, names)
    with pytest.raises(DomainInUseError, match=r"c\.example\.com sends"):
        require_unused(new, names)
    require_unused(old, names)


def test_resolvers_and_addresses_are_read_from_settings() -> None:
    assert resolvers_of("9.9.9.9, [::1]:5353 127.0.0.1:5353") == (
        ("9.9.9.9", 53),
        ("::1", 5353),
        ("127.0.0.1", 5353),
    )
    assert addresses_of("192.0.2.1, 2001:DB8:0::1, 192.0.2.1") == ("192.0.2.1", "2001:db8::1")  # fmt: skip
    for wrong in ("dns.example.org", "9.9.9.9:0", "9.9.9.9:99999", "1.2.3"):
        with pytest.raises(ValueError, match="no resolver"):
            resolvers_of(wrong)
    with pytest.raises(ValueError, match="no address"):
        addresses_of("mcp.example.org")
