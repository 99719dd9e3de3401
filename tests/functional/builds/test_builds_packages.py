"""Published servers, built for real and started without a network."""

import json
import subprocess
from typing import Any

import pytest

from appliance.builds.errors import (
    NoProgramError,
    PackageNotFoundError,
    PackageVersionNotFoundError,
)
from appliance.builds.model import BuildState, Stage
from tests.engine import docker
from tests.functional.builds.conftest import Bench

SERVERS = [
    ("pypi:mcp-server-time", (), "get_current_time"),
    ("pypi:mcp-server-fetch", (), "fetch"),
    ("npm:@modelcontextprotocol/server-everything", (), "echo"),
    ("npm:@modelcontextprotocol/server-memory", (), "create_entities"),
    ("npm:@modelcontextprotocol/server-filesystem", ("/data",), "list_directory"),
]

_INITIALIZE = {
    "protocolVersion": "2025-06-18",
    "capabilities": {},
    "clientInfo": {"name": "test", "version": "1"},
}


def tools(image: str, *arguments: str) -> list[str]:
    """Start the image by hand, without any network, and return the names of its tools."""
    argv = [
        "docker",
        "run",
        "--rm",
        "-i",
        "--network=none",
        "--read-only",
        "--tmpfs=/tmp",
        "--cap-drop=ALL",
        "--user=10001:10001",
    ]
    with subprocess.Popen(
        [*argv, image, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def call(number: int, method: str, params: dict[str, Any]) -> dict[str, Any]:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(
                json.dumps(
                    {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
                )
                + "\n"
            )
            process.stdin.flush()
            for line in process.stdout:
                found: dict[str, Any] = json.loads(line)
                if found.get("id") == number and "method" not in found:
                    return found
            raise AssertionError("the server ended")

        call(1, "initialize", _INITIALIZE)
        process.stdin.write(
            '{"jsonrpc": "2.0", "method": "notifications/initialized"}\n'
        )
        found = call(2, "tools/list", {})
        process.kill()
    return [tool["name"] for tool in found["result"]["tools"]]


@pytest.mark.parametrize(
    ("package", "arguments", "tool"), SERVERS, ids=[item[0] for item in SERVERS]
)
async def test_a_published_server_is_built_and_starts_without_network(
    bench: Bench, package: str, arguments: tuple[str, ...], tool: str
) -> None:
    request = await bench.request({"package": package})

    built = await bench.build(request)

    assert tool in tools(built.image, *arguments)
    assert built.resolved["version"][0].isdigit()
    assert built.resolved["entry"]
    assert bench.stages == [Stage.BUILDING]
    view = await bench.view(request)
    assert (view.state, view.attempt, view.error) == (BuildState.SUCCEEDED, 1, "")
    assert view.image_digest == built.image
    assert view.resolved == built.resolved
    assert (
        f"Took {package.partition(':')[2]} {built.resolved['version']}."
        in await bench.log(request)
    )


async def test_a_second_call_returns_the_first_result(bench: Bench) -> None:
    request = await bench.request({"package": "npm:is-number"})
    first = await bench.build(request)
    log = await bench.log(request)

    again = await bench.build(request)
    assert (again.image, again.resolved) == (first.image, first.resolved)
    assert await bench.log(request) == log
    assert (await bench.view(request)).attempt == 1


async def test_an_unpinned_package_is_resolved_anew_by_every_deployment(
    bench: Bench,
) -> None:
    first, second = [
        await bench.request({"package": "npm:is-number"}) for _ in range(2)
    ]

    await bench.build(first)
    await bench.build(second)

    assert "added " in await bench.log(second)


async def test_a_removed_image_is_made_again_at_the_version_it_had(
    bench: Bench,
) -> None:
    request = await bench.request({"package": "npm:is-number"})
    first = await bench.build(request)
    docker("rmi", "-f", first.image)

    again = await bench.build(request)

    assert again.resolved == first.resolved | {"kept": True}
    version = first.resolved["version"]
    pin = f'"version": "{version}"'
    assert pin in await bench.log(request)
    assert (await bench.view(request)).attempt == 2


@pytest.mark.parametrize(
    ("package", "error", "reason"),
    [
        (
            "pypi:mcp-server-that-nobody-made-4711",
            PackageNotFoundError,
            "PyPI has no package named mcp-server-that-nobody-made-4711.",
        ),
        (
            "npm:@modelcontextprotocol/server-4711",
            PackageNotFoundError,
            "npm has no package named @modelcontextprotocol/server-4711.",
        ),
        (
            "pypi:mcp-server-time==0.0.99",
            PackageVersionNotFoundError,
            "PyPI has mcp-server-time, but not version 0.0.99.",
        ),
        (
            "npm:is-number@99.99.99",
            PackageVersionNotFoundError,
            "npm has is-number, but not version 99.99.99.",
        ),
        ("pypi:typing-extensions", NoProgramError, "no program to start"),
    ],
)
async def test_a_package_that_cannot_be_hosted_says_why(
    bench: Bench, package: str, error: type[Exception], reason: str
) -> None:
    request = await bench.request({"package": package})

    with pytest.raises(error, match=reason.replace("(", r"\(")):
        await bench.build(request)

    view = await bench.view(request)
    assert view.state is BuildState.FAILED
    assert reason in view.error
    assert view.error in await bench.log(request)
    assert bench.box.leftovers() == []
    assert list((bench.box.settings.data_dir / "builds").iterdir()) == []


async def test_a_package_without_script_is_run_as_a_module(bench: Bench) -> None:
    built = await bench.build(await bench.request({"package": "pypi:certifi"}))

    assert built.resolved["entry"].endswith("/python -m certifi")
    printed = docker("run", "--rm", "--network=none", built.image)
    assert printed.endswith("cacert.pem")
