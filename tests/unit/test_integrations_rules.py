"""What services become in a server's environment, and where the hub connects to."""

from datetime import UTC, datetime
from typing import Any

import pytest

from appliance.integrations import reach
from appliance.integrations.errors import ServiceInvalidError
from appliance.integrations.kinds import KINDS
from appliance.integrations.model import ServiceKind, Wanted
from appliance.integrations.probes.sigv4 import signed_headers
from appliance.integrations.wishes import checked, from_url, kept_as, variables_of

HARD = "p@ss/w:rd %"


def wanted(kind: ServiceKind, secrets: dict[str, str], **settings: Any) -> Wanted:
    return checked(Wanted(kind, kind.value, "", settings, secrets))


def test_redis_becomes_an_address_and_its_parts() -> None:
    found = variables_of(
        wanted(
            ServiceKind.REDIS,
            {"password": HARD},
            host="cache.example.org",
            tls=True,
            username="app",
            database=3,
        )
    )

    assert found.secret == {
        "REDIS_URL": "rediss://app:p%40ss%2Fw%3Ard%20%25@cache.example.org:6379/3",
        "REDIS_PASSWORD": HARD,
    }
    assert found.plain["REDIS_HOST"] == "cache.example.org"
    assert found.plain["REDIS_TLS"] == "true"
    assert HARD not in "".join(found.plain.values())


def test_an_address_without_a_password_is_no_secret() -> None:
    found = variables_of(wanted(ServiceKind.REDIS, {}, host="fd00::1"))

    assert found.plain["REDIS_URL"] == "redis://[fd00::1]:6379/0"
    assert found.secret == {}


def test_postgres_becomes_what_libpq_and_everybody_else_reads() -> None:
    found = variables_of(
        wanted(
            ServiceKind.POSTGRES,
            {"password": HARD},
            host="db",
            username="app",
            database="my db",
            ssl_mode="require",
        )
    )

    assert (
        found.secret["DATABASE_URL"]
        == found.secret["POSTGRES_URL"]
        == "postgresql://app:p%40ss%2Fw%3Ard%20%25@db:5432/my%20db?sslmode=require"
    )
    assert found.secret["PGPASSWORD"] == HARD
    assert found.plain == {
        "PGHOST": "db",
        "PGPORT": "5432",
        "PGUSER": "app",
        "PGDATABASE": "my db",
        "PGSSLMODE": "require",
    }


def test_a_bucket_becomes_the_variables_of_both_customs() -> None:
    keys = {"access_key_id": "AKIA", "secret_access_key": "hidden"}

    found = variables_of(
        wanted(ServiceKind.S3, keys, bucket="files", region="eu-central-1")
    )

    assert found.plain["S3_ENDPOINT"] == "https://s3.eu-central-1.amazonaws.com"
    assert found.plain["S3_BUCKET"] == "files"
    assert found.secret == {
        "S3_ACCESS_KEY_ID": "AKIA",
        "AWS_ACCESS_KEY_ID": "AKIA",
        "S3_SECRET_ACCESS_KEY": "hidden",
        "AWS_SECRET_ACCESS_KEY": "hidden",
    }


def test_a_prefix_lets_two_of_a_kind_live_together() -> None:
    cache = checked(
        Wanted(
            ServiceKind.REDIS, "cache", "CACHE_", {"host": "c"}, {"password": "hidden"}
        )
    )

    found = variables_of(cache)

    assert set(found.secret) == {"CACHE_REDIS_URL", "CACHE_REDIS_PASSWORD"}
    assert kept_as(cache) == {"password": "CACHE_REDIS_PASSWORD"}


@pytest.mark.parametrize(
    ("kind", "settings", "places"),
    [
        (ServiceKind.REDIS, {"host": "Cache", "port": 6380}, ["cache:6380"]),
        (ServiceKind.S3, {"endpoint": "http://s3.local:9000", "bucket": "abc"}, ["s3.local:9000"]),
        (ServiceKind.S3, {"bucket": "abc", "path_style": False},
         ["s3.us-east-1.amazonaws.com:443", "abc.s3.us-east-1.amazonaws.com:443"]),
        (ServiceKind.CUSTOM, {"variables": ["A"]}, []),
    ],
)  # fmt: skip
def test_a_server_may_go_where_its_services_are(
    kind: ServiceKind, settings: dict[str, Any], places: list[str]
) -> None:
    found = KINDS[kind].settings(settings)

    assert [str(place) for place in KINDS[kind].destinations(found)] == places


@pytest.mark.parametrize(
    ("kind", "settings", "field"),
    [
        (ServiceKind.REDIS, {}, "host"),
        (ServiceKind.REDIS, {"host": "localhost"}, "host"),
        (ServiceKind.REDIS, {"host": "127.0.0.1"}, "host"),
        (ServiceKind.REDIS, {"host": "a b"}, "host"),
        (ServiceKind.REDIS, {"host": "c", "port": 0}, "port"),
        (ServiceKind.REDIS, {"host": "c", "username": "u"}, "password"),
        (ServiceKind.POSTGRES, {"host": "db", "username": "u"}, "database"),
        (ServiceKind.POSTGRES, {"host": "d", "username": "u", "database": "d", "ssl_mode": "x"}, "ssl_mode"),
        (ServiceKind.S3, {"bucket": "A"}, "bucket"),
        (ServiceKind.S3, {"bucket": "abc", "endpoint": "https://h/path"}, "endpoint"),
        (ServiceKind.S3, {"bucket": "abc", "endpoint": "ftp://h"}, "endpoint"),
        (ServiceKind.S3, {"bucket": "abc"}, "access_key_id"),
        (ServiceKind.CUSTOM, {}, "variables"),
        (ServiceKind.CUSTOM, {"variables": ["A"]}, "variables.A"),
        (ServiceKind.CUSTOM, {"variables": ["A-B"]}, "variables.A-B"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(
    kind: ServiceKind, settings: dict[str, Any], field: str
) -> None:
    with pytest.raises(ServiceInvalidError) as caught:
        wanted(kind, {}, **settings)

    assert field in caught.value.fields


def test_an_address_says_everything_at_once() -> None:
    asked = Wanted(ServiceKind.POSTGRES, "db", settings={"ssl_mode": "require"})

    found = from_url(asked, "postgres://app:p%40ss@db.example.org:6432/main")

    assert found.settings == {
        "host": "db.example.org",
        "port": 6432,
        "username": "app",
        "database": "main",
        "ssl_mode": "require",
    }
    assert found.secrets == {"password": "p@ss"}


@pytest.mark.parametrize(
    "url", ["http://x", "redis:///9", "redis://h:x/0", "redis://h/a"]
)
def test_an_address_that_cannot_be_read_is_not_repeated(url: str) -> None:
    with pytest.raises(ServiceInvalidError) as caught:
        from_url(Wanted(ServiceKind.REDIS, "r"), url)

    assert url not in str(caught.value.fields)


@pytest.mark.parametrize(
    ("address", "is_own", "is_admin", "is_refused"),
    [
        ("192.168.1.5", False, False, False),
        ("203.0.113.1", False, False, False),
        ("127.0.0.1", True, False, True),
        ("127.0.0.1", True, True, False),
        ("::ffff:127.0.0.1", False, False, True),
        ("64:ff9b::7f00:1", False, False, True),
        ("192.168.1.5", True, False, True),
        ("169.254.169.254", False, True, True),
        ("::ffff:169.254.169.254", False, True, True),
        ("fd00:ec2::254", False, True, True),
        ("100.100.100.200", False, True, True),
        ("fe80::1%eth0", False, True, True),
        ("0.0.0.0", False, True, True),  # noqa: S104 - a case
        ("224.0.0.1", False, True, True),
        ("10.213.4.5", False, True, True),
    ],
)  # fmt: skip
def test_the_hub_connects_to_no_place_that_is_not_for_whoever_asks(
    address: str,
    is_own: bool,  # noqa: FBT001 - a case
    is_admin: bool,  # noqa: FBT001 - a case
    is_refused: bool,  # noqa: FBT001 - a case
) -> None:
    why = reach.refusal(
        address,
        is_own=is_own,
        server_networks=("10.213.0.0/16",),
        is_admin=is_admin,
    )

    assert bool(why) is is_refused


def test_a_request_is_signed_as_amazon_s_own_example_is() -> None:
    found = signed_headers(
        "GET",
        "https://examplebucket.s3.amazonaws.com/?lifecycle=",
        region="us-east-1",
        keys=("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
        at=datetime(2013, 5, 24, tzinfo=UTC),
    )

    assert found["Authorization"].endswith(
        "Signature=fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"
    )
