"""What a registry's names, challenges and answers mean, and when something is tried again."""

from datetime import UTC, datetime

import aiohttp
import pytest
from pydantic import SecretStr

from appliance.registry import answers
from appliance.registry.auth import (
    Challenge,
    Credentials,
    parse_challenges,
    read_token,
    token_query,
)
from appliance.registry.errors import TRANSIENT, ErrorKind, RegistryError
from appliance.registry.model import (
    Target,
    api_host,
    is_plain,
    parse_target,
    registry_host,
)
from appliance.registry.push import amount
from appliance.registry.retries import Patience, may_refresh
from appliance.registry.telemetry import details

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "host", "namespace"),
    [
        ("registry.example.org/team", "registry.example.org", "team"),
        ("127.0.0.1:5000", "127.0.0.1:5000", ""),
        ("[::1]:5000/a/b-c/", "[::1]:5000", "a/b-c"),
        ("index.docker.io/me", "docker.io", "me"),
    ],
)
def test_a_registry_is_a_host_and_a_namespace(
    text: str, host: str, namespace: str
) -> None:
    assert parse_target(text) == Target(host, namespace)
    assert registry_host(text) == host


@pytest.mark.parametrize(
    "text",
    ["https://x.org", "x.org/Team", "user@x.org/a", "x.org/a:1", "", "x.org//a"],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"must|may"):
        parse_target(text)


def test_docker_hub_answers_elsewhere() -> None:
    assert api_host("docker.io") == "registry-1.docker.io"


@pytest.mark.parametrize(
    ("host", "plain"),
    [
        ("127.0.0.1:5000", True),
        ("127.8.9.1", True),
        ("localhost:80", True),
        ("[::1]:5000", True),
        ("10.0.0.1:5000", False),
        ("localhost.example.org", False),
        ("listed.example.org:5000", True),
    ],
)
def test_only_loopback_and_listed_registries_do_without_tls(
    host: str, *, plain: bool
) -> None:
    assert is_plain(host, ["listed.example.org:5000"]) is plain


def test_bearer_goes_before_basic() -> None:
    found = parse_challenges(
        [
            'Basic realm="b"',
            'Bearer realm="https://auth.example.org/token",service="s",scope="repository:a/b:pull,push"',
        ]
    )

    assert found == Challenge(
        "bearer", "https://auth.example.org/token", "s", ("repository:a/b:pull,push",)
    )


@pytest.mark.parametrize("value", ["", "Negotiate", 'Bearer service="s"', "Bearer"])
def test_a_challenge_that_nobody_can_meet_is_none(value: str) -> None:
    assert parse_challenges([value]) is None


def test_a_token_is_asked_for_once_a_repository() -> None:
    challenge = Challenge("bearer", "https://a", "s")
    scopes = ["repository:a:push", "repository:a:pull", "repository:b:pull"]

    assert token_query(challenge, scopes) == [
        ("service", "s"),
        ("scope", "repository:a:pull,push"),
        ("scope", "repository:b:pull"),
    ]


@pytest.mark.parametrize(
    ("answer", "life_s"),
    [
        ({"token": "t", "expires_in": 300}, 300),
        ({"access_token": "t"}, 60),
        ({"token": "t", "expires_in": "long"}, 60),
    ],
)
def test_a_token_has_a_life(answer: dict[str, object], life_s: float) -> None:
    token = read_token(answer)

    assert token is not None
    assert token.value.get_secret_value() == "t"
    assert token.renew_after_s() < token.life_s == life_s


@pytest.mark.parametrize("answer", [{}, {"token": 1}, {"token": "a\nb"}])
def test_what_is_no_token_is_none(answer: dict[str, object]) -> None:
    assert read_token(answer) is None


def test_credentials_do_not_show_themselves() -> None:
    shown = repr(Credentials("user", SecretStr("pa55word")))

    assert "pa55word" not in shown


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, b"", ErrorKind.AUTH_EXPIRED),
        (403, b"", ErrorKind.DENIED),
        (404, b"", ErrorKind.NOT_FOUND),
        (405, b"", ErrorKind.UNSUPPORTED),
        (413, b"", ErrorKind.QUOTA),
        (429, b"", ErrorKind.RATE_LIMITED),
        (500, b"", ErrorKind.SERVER_ERROR),
        (599, b"<html>", ErrorKind.SERVER_ERROR),
        (400, b"", ErrorKind.INVALID),
        (302, b"", ErrorKind.INVALID),
        (400, b'{"errors":[{"code":"DIGEST_INVALID"}]}', ErrorKind.DIGEST_MISMATCH),
        (404, b'{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN"}]}', ErrorKind.UPLOAD_LOST),
        (403, b'{"errors":[{"code":"TOOMANYREQUESTS"}]}', ErrorKind.RATE_LIMITED),
        (500, b'{"errors":[]}', ErrorKind.SERVER_ERROR),
        (500, b'{"errors":[7]}', ErrorKind.SERVER_ERROR),
    ],
)
def test_a_refusal_has_a_kind(status: int, body: bytes, kind: ErrorKind) -> None:
    error = answers.refusal("Trying", status, {}, body, has_credentials=True, now=NOON)

    assert error.kind is kind
    assert error.is_transient == (kind in TRANSIENT)


def test_without_credentials_401_means_that_some_are_wanted() -> None:
    error = answers.refusal("Trying", 401, {}, b"", has_credentials=False, now=NOON)

    assert error.kind is ErrorKind.UNAUTHORIZED
    assert not error.is_auth_expired


def test_a_registrys_own_words_are_shown_short_and_printable() -> None:
    body = (
        b'{"errors":[{"code":"X","message":"' + b"a\\u001b[31m" + b"b" * 999 + b'"}]}'
    )

    error = answers.refusal("Trying", 400, {}, body, has_credentials=True, now=NOON)

    assert "\x1b" not in error.detail
    assert len(error.detail) < 400


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        ("Thu, 01 Jan 2026 12:00:30 GMT", 30.0),
        ("Thu, 01 Jan 2026 11:00:00 GMT", 0.0),
        ("soon", None),
        ("-5", None),
        ("", None),
    ],
)
def test_retry_after_is_read(value: str, seconds: float | None) -> None:
    assert answers.retry_after_s(value, NOON) == seconds


@pytest.mark.parametrize(
    ("broken", "kind"),
    [
        (TimeoutError(), ErrorKind.TIMEOUT),
        (aiohttp.SocketTimeoutError(), ErrorKind.TIMEOUT),
        (aiohttp.ServerDisconnectedError(), ErrorKind.CONNECTION),
        (ConnectionResetError(), ErrorKind.CONNECTION),
        (aiohttp.ClientPayloadError(), ErrorKind.TRUNCATED),
        (ValueError(), ErrorKind.UNKNOWN),
    ],
)
def test_no_answer_has_a_kind_too(broken: Exception, kind: ErrorKind) -> None:
    error = answers.failure("Trying", broken, timeout_s=5)

    assert isinstance(error, RegistryError)
    assert error.kind is kind


def test_pauses_grow_up_to_a_limit_and_differ() -> None:
    patience = Patience(9, first_pause_s=1)
    error = RegistryError(ErrorKind.SERVER_ERROR, "")

    assert [patience.pause_s(error, retry, 1) for retry in (1, 2, 3, 9)] == [
        1,
        2,
        4,
        30,
    ]
    assert patience.pause_s(error, 1, 0) == 0.5


def test_a_registry_that_says_when_is_obeyed_within_reason() -> None:
    patience = Patience(3, first_pause_s=1)
    polite = RegistryError(ErrorKind.RATE_LIMITED, "", retry_after_s=10)
    endless = RegistryError(ErrorKind.RATE_LIMITED, "", retry_after_s=86400)

    assert patience.pause_s(polite, 1, 0) == 10
    assert patience.pause_s(endless, 1, 0) == 120


def test_only_a_401_asks_for_other_credentials() -> None:
    found = {kind for kind in ErrorKind if may_refresh(RegistryError(kind, ""))}

    assert found == {ErrorKind.AUTH_EXPIRED, ErrorKind.UNAUTHORIZED}


def test_every_event_has_every_field_and_no_secret() -> None:
    told = details(error="GET https://user:pa55@x.org failed")

    assert set(told) >= {
        "attempt",
        "retry_limit",
        "registry_endpoint",
        "error_kind",
        "auth_expired",
        "platform",
        "scopes",
    }
    assert "pa55" not in told["error"]


def test_progress_is_told_in_megabytes() -> None:
    assert amount({"current": 2_500_000, "total": 5_000_000}) == "2.5 of 5.0 MB"
    assert amount({"current": 2_500_000, "total": 1}) == "2.5 MB"
