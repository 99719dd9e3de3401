"""Repositories' own Dockerfiles, and those that people write for a server, built for real."""

from dataclasses import replace

import pytest

from appliance.builds.errors import (
    BuildFailedError,
    DockerfileRefusedError,
    NoProgramError,
    ProjectNotRecognisedError,
)
from tests.engine import docker
from tests.fakes.git_http import GitServer
from tests.functional.builds.conftest import Bench

GO = {
    "go.mod": "module example.org/two\n",
    "cmd/a/main.go": "package main\nfunc main() {}\n",
    "cmd/b/main.go": "package main\nfunc main() {}\n",
}


async def test_warnings_are_in_the_log_and_kept_with_the_build(
    bench: Bench, repositories: GitServer
) -> None:
    dockerfile = "FROM scratch\nCOPY x /x\nENV API_TOKEN=abc\nEXPOSE 8000 9000\nENTRYPOINT /x --transport sse\n"
    url = repositories.add("own", {"Dockerfile": dockerfile, "x": "x"})
    request = await bench.request({"repo_url": url})

    built = await bench.build(request)

    listed = {item["code"]: item["line"] for item in built.resolved["warnings"]}
    assert listed == {
        "runs_as_root": 0,
        "several_ports": 0,
        "secret_in_env": 3,
        "shell_command": 5,
    }
    log = await bench.log(request)
    assert "Warning: Line 3: ENV API_TOKEN looks like a secret" in log
    assert "abc" not in str(built.resolved)
    assert built.resolved["transport"] == "sse"
    assert built.resolved["transport_from"] == "Dockerfile"
    assert (await bench.view(request)).resolved == built.resolved


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("smithery.yaml", "startCommand:\n  type: http\n"),
        ("server.json", '{"packages": [{"transport": {"type": "streamable-http"}}]}'),
    ],
)
async def test_what_a_repository_declares_decides_how_its_server_speaks(
    bench: Bench, repositories: GitServer, name: str, text: str
) -> None:
    files = {"Dockerfile": 'FROM scratch\nCOPY x /\nUSER 1\nEXPOSE 4321\nCMD ["/x"]\n'}
    url = repositories.add(name.partition(".")[0], files | {name: text, "x": "x"})

    built = await bench.build(await bench.request({"repo_url": url}))

    told = {key: built.resolved.get(key) for key in ("transport", "port", "transport_from")}  # fmt: skip
    assert told == {
        "transport": "streamable-http",
        "port": 4321,
        "transport_from": name,
    }


async def test_an_image_that_could_start_nothing_is_not_built(
    bench: Bench, repositories: GitServer
) -> None:
    url = repositories.add("mute", {"Dockerfile": "FROM scratch\nCOPY x /\n", "x": "x"})
    request = await bench.request({"repo_url": url})

    with pytest.raises(NoProgramError) as caught:
        await bench.build(request)

    assert "neither ENTRYPOINT nor CMD" in caught.value.detail
    assert (await bench.view(request)).dockerfile == ""


async def test_a_written_dockerfile_is_built_in_the_repositorys_context(
    bench: Bench, repositories: GitServer
) -> None:
    own = 'FROM mcp-host/base\nCOPY word /word\nUSER 10001\nENTRYPOINT ["/bin/cat", "/word"]\n'
    url = repositories.add("words", GO | {"word": "from the repository"})
    plain = await bench.request({"repo_url": url})
    request = replace(plain, dockerfile=own)

    built = await bench.build(request)

    assert docker("run", "--rm", "--network=none", built.image) == "from the repository"
    assert built.resolved["dockerfile"] == "own"
    view = await bench.view(request)
    assert view.dockerfile.startswith("FROM mcp-host/base:")
    assert "written for this server" in await bench.log(request)


async def test_a_written_dockerfile_of_a_package_resolves_anew(bench: Bench) -> None:
    own = 'FROM mcp-host/base\nARG MCP_HOST_RESOLVED_FOR\nUSER 10001\nENTRYPOINT ["/bin/true"]\n'
    request = replace(
        await bench.request({"package": "pypi:mcp-server-time"}), dockerfile=own
    )

    await bench.build(request)

    built = (await bench.view(request)).dockerfile
    assert f"MCP_HOST_RESOLVED_FOR={bench.box.owner}-" in built


async def test_a_written_dockerfile_reaches_for_no_others_image(
    bench: Bench, repositories: GitServer
) -> None:
    url = repositories.add("thief", GO)

    for line in ("FROM mcp-host/other:1", "FROM mcp-host/base\nCOPY --from=mcp-host/other:1 / /"):  # fmt: skip
        request = await bench.request({"repo_url": url})
        own = f'{line}\nCMD ["/x"]\n'
        with pytest.raises(DockerfileRefusedError):
            await bench.build(replace(request, dockerfile=own))


async def test_of_several_programs_one_must_be_named(
    bench: Bench, repositories: GitServer
) -> None:
    url = repositories.add("two", GO)

    request = await bench.request({"repo_url": url})
    with pytest.raises(ProjectNotRecognisedError) as caught:
        await bench.build(request)
    other = replace(await bench.request({"repo_url": url}), entry="c")
    with pytest.raises(BuildFailedError, match="no program c"):
        await bench.build(other)

    assert "several programs: a, b" in caught.value.detail
    assert "entry" in (caught.value.hint or "")
