"""Entries of registries, read as sources."""

from typing import Any

import pytest

from appliance.core.errors import InvalidError
from appliance.sources.errors import ServerJsonUnsupportedError
from appliance.sources.model import (
    Ecosystem,
    ImageSource,
    PackageSource,
    RemoteSource,
    Source,
)
from appliance.sources.server_json import read_entry


def entry(*packages: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return a document."""
    return {"name": "org.example/x", "version": "1.0.0", "packages": list(packages), **more}  # fmt: skip


NPM = {"registryType": "npm", "identifier": "@o/x", "version": "1.0.0"}


@pytest.mark.parametrize(
    ("document", "source"),
    [
        (entry(NPM), PackageSource(Ecosystem.NPM, "@o/x", "1.0.0")),
        (
            entry({"registryType": "pypi", "identifier": "x", "version": "1.0"}),
            PackageSource(Ecosystem.PYPI, "x", "1.0"),
        ),
        (
            entry({"registry_type": "oci", "identifier": "o/x", "version": "1"}),
            ImageSource("o/x:1"),
        ),
        (
            entry({"registryType": "oci", "identifier": "ghcr.io/o/x:2"}),
            ImageSource("ghcr.io/o/x:2"),
        ),
        (
            entry(
                {
                    "registryType": "oci",
                    "registryBaseUrl": "https://ghcr.io",
                    "identifier": "o/x",
                    "version": "3",
                }
            ),
            ImageSource("ghcr.io/o/x:3"),
        ),
        (
            entry(remotes=[{"type": "streamable-http", "url": "https://h/mcp"}]),
            RemoteSource("https://h/mcp"),
        ),
        (
            {"server": entry(NPM), "_meta": {"anything": 1}},
            PackageSource(Ecosystem.NPM, "@o/x", "1.0.0"),
        ),
        (
            entry({"registryType": "mcpb", "identifier": "https://h/x.mcpb"}, NPM),
            PackageSource(Ecosystem.NPM, "@o/x", "1.0.0"),
        ),
    ],
)
def test_the_first_offer_that_can_be_hosted_becomes_its_source(
    document: dict[str, Any], source: Source
) -> None:
    assert read_entry(document).option().fill({}).source == source


@pytest.mark.parametrize(
    ("package", "why"),
    [
        ({"registryType": "mcpb", "identifier": "https://h/x.mcpb"}, "not supported"),
        ({"registryType": "nuget", "identifier": "X"}, "not supported"),
        ({**NPM, "registryBaseUrl": "https://npm.example.org"}, "another registry"),
        ({**NPM, "identifier": "--global"}, "source.package"),
        ({**NPM, "identifier": "x@file:/etc"}, "source.package"),
        ({**NPM, "version": "$(id)"}, "source.package"),
        ({"registryType": "oci", "identifier": "--privileged"}, "source.image"),
        ({**NPM, "transport": {"type": "pigeon"}}, "transport"),
        (
            {
                "registryType": "oci",
                "identifier": "o/x",
                "runtimeArguments": [
                    {"type": "named", "name": "--privileged", "isRequired": True}
                ],
            },
            "--privileged",
        ),
    ],
)
def test_what_cannot_be_hosted_says_why(package: dict[str, Any], why: str) -> None:
    found = read_entry(entry(package))

    assert why in found.options[0].why_not
    with pytest.raises(ServerJsonUnsupportedError):
        found.option()


def test_what_is_required_is_asked_for_and_named_when_it_is_missing() -> None:
    package = {
        **NPM,
        "packageArguments": [
            {"type": "positional", "value": "serve"},
            {"type": "positional", "valueHint": "directory", "isRequired": True},
            {"type": "named", "name": "--level", "value": "{level}", "variables": {"level": {"default": "info"}}},
            {"type": "named", "name": "--optional"},
        ],
        "environmentVariables": [
            {"name": "KEY", "isRequired": True, "description": "from the service"},
            {"name": "MODE", "default": "fast", "choices": ["fast", "safe"]},
        ],
    }  # fmt: skip
    option = read_entry(entry(package)).option()

    with pytest.raises(InvalidError) as caught:
        option.fill({"MODE": "odd", "unknown": "x"})
    filled = option.fill({"KEY": "k", "directory": "/data; rm -rf /"})

    assert caught.value.fields == {
        "inputs.KEY": "is required: from the service",
        "inputs.directory": "is required",
        "inputs.MODE": "must be one of fast, safe",
        "inputs.unknown": "is not asked for",
    }
    assert filled.arguments == ("serve", "/data; rm -rf /", "--level", "info")
    assert filled.environment == {"KEY": "k", "MODE": "fast"}


def test_variables_that_docker_run_would_set_are_carried_over() -> None:
    package = {
        "registryType": "oci",
        "identifier": "o/x:1",
        "runtimeArguments": [
            {"type": "named", "name": "-e", "value": "TOKEN={token}", "variables": {"token": {"isSecret": True}}},
            {"type": "named", "name": "--rm"},
        ],
    }  # fmt: skip
    option = read_entry(entry(package)).option()

    assert [question.name for question in option.questions()] == ["token"]
    assert option.questions()[0].is_secret
    assert option.fill({"token": "t"}).environment == {"TOKEN": "t"}


@pytest.mark.parametrize(
    "document", [None, [], "x", {}, {"name": 3}, {"packages": []}, {"server": []}]
)
def test_what_is_no_entry_is_refused(document: object) -> None:
    with pytest.raises(InvalidError):
        read_entry(document)


@pytest.mark.parametrize(
    "packages", [None, 3, [None], [{}], [{"registryType": {}}], [{**NPM, "packageArguments": 3}]]
)  # fmt: skip
def test_strange_members_do_no_harm(packages: object) -> None:
    read_entry({"name": "x", "packages": packages})
