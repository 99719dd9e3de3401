"""Server configuration: bad input names its field, good input survives the round trip."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.core.errors import InvalidError
from appliance.runtimes.model import Transport
from appliance.servers.config import (
    changes_what_runs,
    check_config,
    check_name,
    config_as_dict,
    config_from_dict,
    name_from_source,
    parse_memory,
)
from appliance.servers.model import CallLimits, ServerConfig, SessionMode
from appliance.sources.model import (
    Ecosystem,
    GitSource,
    ImageSource,
    PackageSource,
    RemoteSource,
    Source,
)


@pytest.mark.parametrize(
    ("source", "name"),
    [
        (PackageSource(Ecosystem.PYPI, "mcp-server-time"), "mcp-server-time"),
        (
            PackageSource(Ecosystem.NPM, "@modelcontextprotocol/server-everything"),
            "modelcontextprotocol-server-everything",
        ),
        (GitSource("https://git.example.org/ada/My_Server.git"), "my-server"),
        (ImageSource("registry.example.org:5000/team/echo:1.2"), "echo"),
        (RemoteSource("https://mcp.example.org:8443/mcp"), "mcp-example-org"),
    ],
)
def test_a_name_is_derived_from_the_source(source: Source, name: str) -> None:
    assert name_from_source(source) == name
    assert check_name(name) == name


@given(st.text(min_size=1))
def test_a_derived_name_is_always_allowed(text: str) -> None:
    check_name(name_from_source(PackageSource(Ecosystem.PYPI, text)))


@pytest.mark.parametrize("name", ["", "-a", "a-", "A", "a_b", "a" * 64, "a/b", "a\n"])
def test_a_name_that_is_no_label_is_refused(name: str) -> None:
    with pytest.raises(InvalidError) as caught:
        check_name(name)

    assert "name" in caught.value.fields


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("512m", 512 * 1024**2),
        ("1GiB", 1024**3),
        ("1.5g", 1610612736),
        (67108864, 67108864),
    ],
)
def test_memory_is_read_with_units(text: str | int, size: int) -> None:
    assert parse_memory(text) == size


@pytest.mark.parametrize("text", ["", "lots", "-5m", "1m", "10", "5 m m"])
def test_memory_that_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(InvalidError) as caught:
        parse_memory(text)

    assert "memory_limit" in caught.value.fields


def test_every_wrong_field_is_named() -> None:
    wrong = ServerConfig(
        arguments=("a\0",),
        environment={"1BAD": "x"},
        cpu_limit=0,
        memory_limit_bytes=1,
        port=0,
        path="mcp",
    )

    with pytest.raises(InvalidError) as caught:
        check_config(wrong)

    assert set(caught.value.fields) == {
        "arguments",
        "environment.1BAD",
        "cpu_limit",
        "memory_limit",
        "port",
        "path",
    }


def test_a_configuration_survives_being_stored() -> None:
    config = ServerConfig(
        arguments=("--local-timezone", "UTC"),
        environment={"A": "1"},
        cpu_limit=0.5,
        memory_limit_bytes=64 * 1024**2,
        transport=Transport.STREAMABLE_HTTP,
        port=9000,
        path="/x",
        tools=("add", "subtract"),
        session_mode=SessionMode.PER_SESSION,
        trace_bodies=False,
        limits=CallLimits(calls_per_second=0.5, concurrency=3),
    )

    assert config_from_dict(config_as_dict(config)) == config


@pytest.mark.parametrize(
    ("limits", "named"),
    [
        (CallLimits(calls_per_second=0), "limits.calls_per_second"),
        (CallLimits(calls_per_second=float("nan")), "limits.calls_per_second"),
        (CallLimits(concurrency=0), "limits.concurrency"),
        (CallLimits(body_bytes=1), "limits.body_bytes"),
        (CallLimits(timeout_s=7200), "limits.timeout_s"),
    ],
)
def test_a_limit_out_of_bounds_is_named(limits: CallLimits, named: str) -> None:
    with pytest.raises(InvalidError) as caught:
        check_config(ServerConfig(limits=limits))

    assert set(caught.value.fields) == {named}


def test_only_the_limits_that_there_are_are_stored() -> None:
    config = ServerConfig(limits=CallLimits(concurrency=3))

    assert config_as_dict(config)["limits"] == {"concurrency": 3}


@pytest.mark.parametrize(
    ("changed", "redeploys"),
    [
        ({}, False),
        ({"listed": True}, False),
        ({"tools": ("echo",)}, False),
        ({"trace_bodies": False}, False),
        ({"arguments": ("-v",)}, True),
        ({"environment": {"A": "1"}}, True),
        ({"memory_limit_bytes": 1024**3}, True),
        ({"session_mode": SessionMode.SHARED}, True),
        ({"listed": True, "port": 9000}, True),
    ],
)
def test_only_a_change_of_what_runs_needs_a_redeploy(
    changed: dict[str, Any], *, redeploys: bool
) -> None:
    before = ServerConfig()

    assert changes_what_runs(before, replace(before, **changed)) is redeploys
