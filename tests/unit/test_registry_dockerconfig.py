"""Reading a dockerconfigjson: what it says, and that nothing it says is quoted."""

import base64
import contextlib
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from appliance.core.errors import InvalidError
from appliance.registry.auth import Credentials
from appliance.registry.dockerconfig import (
    DockerConfigError,
    credentials_for,
    expiry_of,
)

HOST = "registry.example.org:5000"


def config(entry: object, key: str = HOST, **others: Any) -> str:
    return json.dumps({"auths": {key: entry}, **others})


def pair(username: str, password: str) -> str:
    return base64.b64encode(f"{username}:{password}".encode()).decode()


def told(credentials: Credentials | None) -> tuple[str, str, str | None]:
    assert credentials
    token = credentials.identity_token
    return (
        credentials.username,
        credentials.password.get_secret_value(),
        token.get_secret_value() if token else None,
    )


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"auth": pair("ada", "pa:ss")}, ("ada", "pa:ss", None)),
        ({"username": "ada", "password": "p"}, ("ada", "p", None)),
        ({"auth": pair("ada", ""), "identitytoken": "idt"}, ("ada", "", "idt")),
        ({"identitytoken": "idt"}, ("", "", "idt")),
        ({"auth": pair("new", "n"), "username": "old"}, ("new", "n", None)),
    ],
)
def test_every_way_to_write_credentials_is_read(
    entry: dict[str, str], expected: tuple[str, str, str | None]
) -> None:
    assert told(credentials_for(config(entry), HOST)) == expected


@pytest.mark.parametrize(
    ("key", "host"),
    [
        (HOST, HOST),
        (f"https://{HOST}", HOST),
        (f"https://{HOST}/v2/", HOST),
        (f"http://{HOST}/", HOST),
        ("Registry.Example.ORG:5000", HOST),
        ("https://index.docker.io/v1/", "docker.io"),
        ("docker.io", "docker.io"),
    ],
)
def test_a_registry_is_known_under_every_name_that_docker_writes(
    key: str, host: str
) -> None:
    assert credentials_for(config({"auth": pair("a", "b")}, key), host)


@pytest.mark.parametrize("key", ["example.org", "registry.example.org", f"x{HOST}"])
def test_credentials_of_another_registry_are_not_sent_to_this_one(key: str) -> None:
    assert credentials_for(config({"auth": pair("a", "b")}, key), HOST) is None


@pytest.mark.parametrize(
    "helper", [{"credHelpers": {HOST: "ecr-login"}}, {"credsStore": "ecr-login"}]
)
def test_a_helper_is_named_and_not_run(helper: dict[str, Any]) -> None:
    with pytest.raises(DockerConfigError, match="ecr-login") as caught:
        credentials_for(config({}, **helper), HOST)

    assert "REGISTRY_AUTH_REFRESH_COMMAND" in (caught.value.hint or "")


def test_a_helper_of_another_registry_is_no_hindrance() -> None:
    text = config({"auth": pair("a", "b")}, credHelpers={"other.example.org": "x"})

    assert credentials_for(text, HOST)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '{"auths": []}',
        config("s3cret"),
        config({"auth": 7}),
        config({"auth": "s3cret!"}),
        config({"auth": base64.b64encode(b"s3cret").decode()}),
        config({"auth": base64.b64encode(b"a:s3cret\r\nX-Evil: 1").decode()}),
        config({"identitytoken": "s3cret\nX-Evil: 1"}),
        config({"username": "s3cret"}),
        "[" * 100_000,
        " " * (2 * 1024 * 1024),
    ],
)
def test_what_cannot_be_used_is_refused_and_never_quoted(text: str) -> None:
    with pytest.raises(DockerConfigError) as caught:
        credentials_for(text, HOST)

    assert "s3cret" not in caught.value.reason
    assert caught.value.__cause__ is None


@given(st.text() | st.binary())
def test_no_file_breaks_the_reader(text: str | bytes) -> None:
    with contextlib.suppress(InvalidError):
        assert credentials_for(text, HOST) is None


# -- their own end


def jwt(claims: object) -> str:
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"eyJhbGciOiJub25lIn0.{body}.c2ln"


def test_the_earlier_end_of_two_tokens_counts() -> None:
    both = Credentials(
        "a", SecretStr(jwt({"exp": 2000})), SecretStr(jwt({"exp": 1000}))
    )

    assert expiry_of(both) == datetime.fromtimestamp(1000, UTC)


@pytest.mark.parametrize(
    "password",
    [
        "plain",
        "a.b.c",
        "....",
        jwt({}),
        jwt([]),
        jwt({"exp": "soon"}),
        jwt({"exp": True}),
        jwt({"exp": 1e300}),
        jwt({"exp": None}),
    ],
)
def test_what_is_no_token_has_no_end_of_its_own(password: str) -> None:
    assert expiry_of(Credentials("a", SecretStr(password))) is None
