"""Repositories, cloned over smart HTTP and built for real."""

import asyncio
import json
import time
import urllib.request

import pytest

from appliance.builds.errors import (
    BranchNotFoundError,
    BuildFailedError,
    CheckoutRefusedError,
    DiskFullError,
    ImageNotFoundError,
    NetworkUnreachableError,
    ProjectNotRecognisedError,
    RepositoryNotFoundError,
)
from appliance.builds.model import BuildState, BuiltImage, Stage
from appliance.runtimes.docker import DockerExecutor
from appliance.runtimes.model import InstanceSpec, Transport
from tests.engine import docker
from tests.fakes.git_http import GitServer
from tests.functional.builds.conftest import Bench

PYTHON_HTTP = {
    "pyproject.toml": '[project]\nname = "weather"\nversion = "1.0"\nrequires-python = ">=3.10"\ndependencies = ["mcp<2"]\n',
    # As the SDK's own examples have it: it listens on loopback, port 8000.
    "server.py": (
        "from mcp.server.fastmcp import FastMCP\n"
        "mcp = FastMCP('weather')\n"
        "@mcp.tool()\n"
        "def sunshine(city: str) -> str:\n"
        "    return f'the sun shines in {city}'\n"
        "if __name__ == '__main__':\n"
        "    mcp.run(transport='streamable-http')\n"
    ),
}
PYTHON_SCRIPT = {
    "pyproject.toml": (
        '[project]\nname = "hello-mcp"\nversion = "0.3"\n[project.scripts]\nhello-mcp = "hello:main"\n'
        '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
        '[tool.hatch.build.targets.wheel]\ninclude = ["hello.py"]\n'
    ),
    "hello.py": "def main():\n    print('hello from the script')\n",
}
NODE_BUILD = {
    "package.json": json.dumps(
        {
            "name": "greeter",
            "version": "1.0.0",
            "bin": {"greeter": "./dist/index.js"},
            "scripts": {"build": "mkdir -p dist && cp src.js dist/index.js"},
            "devDependencies": {"is-number": "7.0.0"},
        }
    ),
    "src.js": "console.log('greetings', process.argv.slice(2).join(' '))\n",
}


def run(built: BuiltImage, *arguments: str) -> str:
    """Run the image by hand, without network, and return what it prints."""
    return docker(
        "run",
        "--rm",
        "--network=none",
        "--read-only",
        "--tmpfs=/tmp",
        "--user=10001:10001",
        built.image,
        *arguments,
    )


async def test_a_python_http_server_without_dockerfile_is_reachable(
    bench: Bench, repositories: GitServer, docker_executor: DockerExecutor
) -> None:
    request = await bench.request(
        {"repo_url": repositories.add("weather", PYTHON_HTTP)}, "weather"
    )

    built = await bench.build(request)

    assert built.resolved["transport"] == "streamable-http"
    assert len(built.resolved["revision"]) == 40
    assert bench.stages == [Stage.CLONING, Stage.BUILDING]
    started = await docker_executor.start(
        InstanceSpec(
            request.server_id,
            "weather",
            request.deployment_id,
            built.image,
            Transport.STREAMABLE_HTTP,
        )
    )
    answer = await asyncio.to_thread(initialize, started.address)
    assert answer["result"]["serverInfo"]["name"] == "weather"
    # It listens on loopback inside, so the image's entry had to pass the connection on.
    sockets = docker("exec", started.container_id, "cat", "/proc/net/tcp")
    assert "0100007F:1F40" in sockets


def initialize(address: str) -> dict[str, dict[str, dict[str, str]]]:
    """Return the answer to ``initialize``, as soon as the server gives one."""
    body = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-06-18",
            "capabilities": {},
            "clientInfo": {"name": "t", "version": "1"},
        },
    }
    headers = {
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
        # As the gateway does: servers that guard against DNS rebinding answer to no other name.
        "Host": "127.0.0.1:8000",
    }
    request = urllib.request.Request(address, json.dumps(body).encode(), headers)
    end = time.monotonic() + 30
    while True:
        try:
            with urllib.request.urlopen(request, timeout=5) as response:
                text = response.read().decode()
            data = next(
                line.removeprefix("data: ")
                for line in text.splitlines()
                if line.startswith("data: ")
            )
            found: dict[str, dict[str, dict[str, str]]] = json.loads(data)
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)
        else:
            return found


async def test_a_python_project_with_a_script_starts_with_it(
    bench: Bench, repositories: GitServer
) -> None:
    built = await bench.build(
        await bench.request({"repo_url": repositories.add("hello", PYTHON_SCRIPT)})
    )

    assert run(built) == "hello from the script"
    assert "transport" not in built.resolved


async def test_a_node_project_is_built_and_started(
    bench: Bench, repositories: GitServer
) -> None:
    built = await bench.build(
        await bench.request({"repo_url": repositories.add("greeter", NODE_BUILD)})
    )

    assert run(built, "to", "you") == "greetings to you"


async def test_requirements_beside_a_main_file_are_enough(
    bench: Bench, repositories: GitServer
) -> None:
    files = {
        "requirements.txt": "idna==3.10\n",
        "server.py": "import idna; print(idna.__version__)\n",
    }

    built = await bench.build(
        await bench.request({"repo_url": repositories.add("plain", files)})
    )

    assert run(built) == "3.10"


async def test_a_lock_file_decides_what_is_installed(
    bench: Bench, repositories: GitServer, base_image: str
) -> None:
    files = {
        "pyproject.toml": '[project]\nname = "locked"\nversion = "1"\nrequires-python = ">=3.11"\n'
        'dependencies = ["idna<3.10"]\n',
        "main.py": "import idna; print(idna.__version__)\n",
    }
    url = repositories.add("locked", files)
    work = repositories.root / "locked"
    mount = f"--volume={work}:/work"
    docker("run", "--rm", mount, "--workdir=/work", base_image, "uv", "lock")
    text = (work / "uv.lock").read_text()
    # The range alone would now allow what the lock file does not.
    pyproject = files["pyproject.toml"].replace("idna<3.10", "idna")
    text = text.replace('specifier = "<3.10"', "").replace(', specifier = "<3.10"', "")
    repositories.add("locked", {"uv.lock": text, "pyproject.toml": pyproject})

    built = await bench.build(await bench.request({"repo_url": url}))

    assert run(built) == "3.9"


async def test_branch_and_subdirectory_are_taken(
    bench: Bench, repositories: GitServer
) -> None:
    repositories.add("many", {"README.md": "nothing to build here\n"})
    files = {
        "servers/one/requirements.txt": "",
        "servers/one/main.py": "print('one')\n",
    }
    url = repositories.add("many", files, branch="next/2")

    built = await bench.build(
        await bench.request(
            {"repo_url": url, "branch": "next/2", "subdirectory": "servers/one"}
        )
    )

    assert run(built) == "one"


async def test_a_repository_with_a_dockerfile_is_built_by_it(
    bench: Bench, repositories: GitServer, base_image: str
) -> None:
    text = f'FROM {base_image}\nCOPY word.txt /word.txt\nEXPOSE 8123\nCMD ["cat", "/word.txt"]\n'
    url = repositories.add("own", {"Dockerfile": text, "word.txt": "own words\n"})
    request = await bench.request({"repo_url": url})

    built = await bench.build(request)

    assert run(built) == "own words"
    assert (built.resolved["transport"], built.resolved["port"]) == (
        "streamable-http",
        8123,
    )
    assert (await bench.view(request)).dockerfile == text


async def test_a_dockerfile_is_lent_the_certificates_of_the_box(
    bench: Bench, repositories: GitServer, strange_image: str
) -> None:
    text = (
        f"FROM {strange_image}\n"
        "RUN grep -c BEGIN $PIP_CERT \\\n"
        "    > /count\n"
        "RUN rm -rf /opt/mcp/server\n"
        'CMD ["sh", "-c", "cat /count; ls -A /run/mcp-host; env"]\n'
    )
    request = await bench.request(
        {"repo_url": repositories.add("x", {"Dockerfile": text})}
    )

    built = await bench.build(request)

    printed = run(built).splitlines()
    bundle = bench.box.settings.ca_bundle.read_text()
    assert int(printed[0]) == bundle.count("BEGIN CERTIFICATE")
    # What it was lent is not in the image: at most the name of a file, without content.
    assert "/run/mcp-host/ca.pem" not in "".join(printed)
    assert run(built, "sh", "-c", "cat /run/mcp-host/* || true") == ""
    assert (await bench.view(request)).dockerfile == text
    assert "mount=type=secret" not in await bench.log(request)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("missing", (RepositoryNotFoundError, "There is no git repository at")),
        (
            "private/secret",
            (RepositoryNotFoundError, "that everybody may read"),
        ),
        ("web/page", (CheckoutRefusedError, "the URL is that of a web page")),
    ],
)
async def test_what_is_no_public_repository_is_said_to_be_none(
    bench: Bench,
    repositories: GitServer,
    path: str,
    expected: tuple[type[Exception], str],
) -> None:
    await failed(bench, {"repo_url": f"{repositories.url}/{path}"}, *expected)


async def failed(
    bench: Bench, source: dict[str, str], error: type[Exception], reason: str
) -> None:
    """Build ``source``, and find the same reason in the error, the row and the log, and nothing left behind."""
    request = await bench.request(source)

    with pytest.raises(error) as caught:
        await bench.build(request)

    view = await bench.view(request)
    assert reason in view.error
    assert view.error == caught.value.reason  # type: ignore[attr-defined]
    assert view.state is BuildState.FAILED
    assert view.error in await bench.log(request)
    assert bench.box.leftovers() == []
    assert list((bench.box.settings.data_dir / "builds").iterdir()) == []


async def test_an_unknown_branch_is_named(
    bench: Bench, repositories: GitServer
) -> None:
    url = repositories.add("hello", PYTHON_SCRIPT)

    await failed(
        bench,
        {"repo_url": url, "branch": "nope"},
        BranchNotFoundError,
        "no branch or tag named nope",
    )


async def test_an_unknown_directory_is_named(
    bench: Bench, repositories: GitServer
) -> None:
    url = repositories.add("hello", PYTHON_SCRIPT)

    await failed(
        bench,
        {"repo_url": url, "subdirectory": "srv"},
        CheckoutRefusedError,
        "no directory srv",
    )


async def test_an_empty_repository_is_said_to_be_empty(
    bench: Bench, repositories: GitServer
) -> None:
    await failed(
        bench,
        {"repo_url": repositories.add("empty", {})},
        CheckoutRefusedError,
        "empty",
    )


async def test_a_repository_without_project_says_what_was_looked_for(
    bench: Bench, repositories: GitServer
) -> None:
    url = repositories.add("essay", {"essay.md": "words\n"})

    await failed(
        bench,
        {"repo_url": url},
        ProjectNotRecognisedError,
        "no Dockerfile, pyproject.toml, package.json, Cargo.toml, go.mod or requirements.txt (found: essay.md)",
    )


async def test_a_link_out_of_the_repository_is_refused(
    bench: Bench, repositories: GitServer
) -> None:
    url = repositories.add(
        "leak",
        {"requirements.txt": "", "main.py": ""},
        links={"data/passwd": "/etc/passwd"},
    )

    await failed(
        bench, {"repo_url": url}, CheckoutRefusedError, "leads out of it: data/passwd"
    )


async def test_a_git_server_that_is_away_is_said_to_be(bench: Bench) -> None:
    await failed(
        bench,
        {"repo_url": "http://127.0.0.1:1/x.git"},
        NetworkUnreachableError,
        "could not be reached",
    )


async def test_a_step_that_fails_is_named_with_its_last_line(
    bench: Bench, repositories: GitServer, base_image: str
) -> None:
    text = f'FROM {base_image}\nRUN echo this went wrong >&2; exit 3\nENTRYPOINT ["/bin/true"]\n'
    url = repositories.add("wrong", {"Dockerfile": text})

    await failed(
        bench,
        {"repo_url": url},
        BuildFailedError,
        "failed at step '[2/2] RUN echo this went wrong >&2; exit 3'. Its last line: this went wrong",
    )


async def test_a_full_disk_is_said_to_be_full(
    bench: Bench, repositories: GitServer, base_image: str
) -> None:
    url = repositories.add(
        "large",
        {
            "Dockerfile": f'FROM {base_image}\nRUN cat /dev/zero > /dev/full\nENTRYPOINT ["/bin/true"]\n'
        },
    )

    await failed(bench, {"repo_url": url}, DiskFullError, "The disk is full")


async def test_a_base_that_cannot_be_had_is_named(
    bench: Bench, repositories: GitServer
) -> None:
    url = repositories.add("based", {"Dockerfile": "FROM 127.0.0.1:1/no/such:1\n"})

    await failed(
        bench, {"repo_url": url}, ImageNotFoundError, "builds on 127.0.0.1:1/no/such:1"
    )
