"""What may be served: chains and keys that clients take, and never something worse than what is there."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from appliance.certificates import pem
from appliance.certificates.errors import CertificateInvalidError
from appliance.certificates.own_ca import OwnCa
from appliance.certificates.shelf import OnShelf, is_better

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
HOST = "mcp.example.org"


@pytest.fixture(scope="module")
def own() -> OwnCa:
    return OwnCa.made(NOW)


def test_the_own_authority_issues_for_names_and_addresses(own: OwnCa) -> None:
    issued = own.issue([HOST, "localhost", "127.0.0.1", "::1"], NOW)

    read = pem.read(issued.chain, issued.key, now=NOW, hosts=[HOST, "localhost"])

    assert read == issued
    assert set(issued.names) == {HOST, "localhost", "127.0.0.1", "::1"}
    assert own.issued(issued.chain)
    assert not OwnCa.made(NOW).issued(issued.chain)


def test_the_own_authority_is_the_same_after_it_was_kept(own: OwnCa) -> None:
    again = OwnCa.read(own.certificate, own.key_pem)

    assert again.issued(own.issue([HOST], NOW).chain)
    with pytest.raises(ValueError, match="another's"):
        OwnCa.read(own.certificate, OwnCa.made(NOW).key_pem)


def refused(chain: str, key: bytes | str, **given: object) -> dict[str, str]:
    with pytest.raises(CertificateInvalidError) as caught:
        pem.read(chain, key, **{"now": NOW, "hosts": [HOST], **given})  # type: ignore[arg-type]
    return caught.value.fields


def test_what_clients_would_refuse_is_refused_and_the_field_is_named(
    own: OwnCa,
) -> None:
    good, other = own.issue([HOST], NOW), own.issue([HOST], NOW)
    leaf, _, root = good.chain.partition("-----END CERTIFICATE-----\n")
    leaf += "-----END CERTIFICATE-----\n"
    strange = OwnCa.made(NOW).certificate
    weak = pem.private_pem(rsa.generate_private_key(65537, 1024))  # noqa: S505 - which is the point

    assert "not the key" in refused(good.chain, other.key)["key"]
    assert "not the key" in refused(root + leaf, good.key)["key"]
    assert "not the key" in refused(good.chain, weak)["key"]
    assert "not issued by" in refused(leaf + strange, good.key)["chain"]
    assert "is no PEM" in refused("nothing", good.key)["chain"]
    assert "is no PEM" in refused(good.chain, "nothing")["key"]
    assert "longer than" in refused("x" * 70_000, good.key)["chain"]
    assert "expired on" in refused(good.chain, good.key, now=NOW + 400 * DAY)["chain"]
    assert "only from" in refused(good.chain, good.key, now=NOW - 9 * DAY)["chain"]
    named = refused(good.chain, good.key, hosts=["a.example.net"])["chain"]
    assert "not for a.example.net, but for mcp.example.org" in named


def test_a_wildcard_is_good_for_one_label(own: OwnCa) -> None:
    issued = own.issue(["*.example.org"], NOW)

    pem.read(issued.chain, issued.key, now=NOW, hosts=["a.example.org"])
    assert refused(issued.chain, issued.key, hosts=["a.b.example.org"])


def test_no_text_about_a_certificate_has_its_key(own: OwnCa) -> None:
    issued = own.issue([HOST], NOW)

    assert "PRIVATE" in issued.key.decode()
    assert "PRIVATE" not in f"{issued} {issued!r}"


def test_nothing_good_is_exchanged_for_something_worse(own: OwnCa) -> None:
    fresh = own.issue([HOST], NOW)
    lying = OnShelf("f", (HOST,), "A public CA", NOW, NOW + 30 * DAY)

    def better(there: OnShelf | None, *, fresh_own: bool, lying_own: bool) -> bool:
        return is_better(
            there,
            fresh,
            host=HOST,
            now=NOW,
            fresh_is_own=fresh_own,
            lying_is_own=lying_own,
        )

    assert better(None, fresh_own=True, lying_own=False)
    assert not better(lying, fresh_own=True, lying_own=False)
    assert better(lying, fresh_own=False, lying_own=True)
    assert better(replace(lying, not_after=NOW - DAY), fresh_own=True, lying_own=False)
    assert better(replace(lying, names=("x.org",)), fresh_own=True, lying_own=False)
    later = replace(lying, not_before=NOW + DAY)
    assert not better(later, fresh_own=False, lying_own=False)
    assert better(
        replace(lying, not_before=NOW - 2 * DAY), fresh_own=False, lying_own=False
    )
