"""Which project a repository is, and how it speaks."""

import json

import pytest

from appliance.builds.errors import ProjectNotRecognisedError
from appliance.builds.images import parse_resolved
from appliance.builds.project import (
    DockerfileProject,
    NodeProject,
    PythonProject,
    Tree,
    recognise,
)
from appliance.builds.speech import from_image, from_sources


def tree(*names: str, **texts: str) -> Tree:
    """Return a tree; ``pyproject_toml="…"`` is the text of ``pyproject.toml``."""
    named = {name.replace("_", "."): text for name, text in texts.items()}
    return Tree(frozenset([*names, *named]), named)


def package(**fields: object) -> str:
    return json.dumps(fields)


@pytest.mark.parametrize(
    ("found", "project"),
    [
        (tree("package.json", Dockerfile="FROM x\n"), DockerfileProject("FROM x\n")),
        (
            tree(
                pyproject_toml='[project]\nname="w"\nscripts={w-mcp="w:main", "../x"="w:x"}\n'
            ),
            PythonProject("w", "project", ("w-mcp",)),
        ),
        (
            tree(
                "uv.lock",
                pyproject_toml='[project]\nname="w"\n[project.scripts]\nw="w:main"\n',
            ),
            PythonProject("w", "sync", ("w",)),
        ),
        (
            tree(
                pyproject_toml='[tool.poetry]\nname="w"\n[tool.poetry.scripts]\nw="w:main"\n[build-system]\nrequires=[]\n'
            ),
            PythonProject("w", "project", ("w",)),
        ),
        (
            tree(
                "main.py", pyproject_toml='[project]\nname="w"\ndependencies=["mcp"]\n'
            ),
            PythonProject("w", "dependencies", (), "main.py"),
        ),
        (
            tree("src/server.py", "requirements.txt", pyproject_toml="[tool.ruff]\n"),
            PythonProject("repo", "requirements", (), "src/server.py"),
        ),
        (
            tree("app.py", "server.py", "requirements.txt"),
            PythonProject("repo", "requirements", (), "server.py"),
        ),
        (
            tree(
                "package-lock.json",
                package_json=package(
                    name="@s/w",
                    bin={"other": "o.js", "w": "./dist/w.js"},
                    scripts={"build": "tsc"},
                ),
            ),
            NodeProject(("node", "dist/w.js"), has_lock=True, has_build=True),
        ),
        (
            tree(package_json=package(bin="cli.js")),
            NodeProject(("node", "cli.js"), has_lock=False, has_build=False),
        ),
        (
            tree(package_json=package(scripts={"start": "node dist/index.js --stdio"})),
            NodeProject(
                ("node", "dist/index.js", "--stdio"), has_lock=False, has_build=False
            ),
        ),
        (
            tree(
                package_json=package(
                    scripts={"start": "tsx src/index.ts && echo $HOME"}
                )
            ),
            NodeProject(
                ("npm", "run", "--silent", "start", "--"),
                has_lock=False,
                has_build=False,
            ),
        ),
        (
            tree(package_json=package(main="./lib/index.js")),
            NodeProject(("node", "lib/index.js"), has_lock=False, has_build=False),
        ),
        (
            tree("index.js", package_json=package(main="../../etc/x.js")),
            NodeProject(("node", "index.js"), has_lock=False, has_build=False),
        ),
    ],
)
def test_a_project_is_recognised(found: Tree, project: object) -> None:
    assert recognise(found, name="repo") == project


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (
            tree("README.md", "a/b.py"),
            "no Dockerfile, pyproject.toml, package.json, Cargo.toml, go.mod or requirements.txt (found: README.md)",
        ),
        (tree(), "found: no files"),
        (tree("requirements.txt", "x.py"), "none of server.py, main.py"),
        (tree(pyproject_toml="[project"), "pyproject.toml cannot be read"),
        (tree(package_json="{"), "package.json cannot be read"),
        (tree(package_json="[]"), "package.json without bin, start script and main"),
        (
            tree("lib.py", pyproject_toml='[project]\nname="lib"\n'),
            "pyproject.toml without scripts",
        ),
    ],
)
def test_what_is_not_recognised_says_what_was_looked_for(
    found: Tree, reason: str
) -> None:
    with pytest.raises(ProjectNotRecognisedError) as caught:
        recognise(found, name="repo")

    assert reason in caught.value.reason


@pytest.mark.parametrize(
    ("texts", "exposed", "speech"),
    [
        (["mcp.run()"], [], {}),
        (["mcp.run(transport='stdio')"], [], {}),
        (
            ["mcp.run(transport='streamable-http')"],
            [],
            {"transport": "streamable-http"},
        ),
        (
            ["mcp.run(transport='streamable-http', port=9001)"],
            [],
            {"transport": "streamable-http", "port": 9001},
        ),
        (
            [
                "new StreamableHTTPServerTransport()",
                "app.listen(process.env.PORT || 3001)",
            ],
            [],
            {"transport": "streamable-http", "port": 3001},
        ),
        (
            ["StreamableHTTPServerTransport", "port = 1234", "port = 4321"],
            [],
            {"transport": "streamable-http"},
        ),
        (["StdioServerTransport", "StreamableHTTPServerTransport"], [], {}),
        (
            ["StdioServerTransport", "StreamableHTTPServerTransport"],
            [3000],
            {"transport": "streamable-http", "port": 3000},
        ),
        (["StdioServerTransport"], [3000], {}),
        (["mcp.run(transport='sse')"], [], {"transport": "sse"}),
        (["new SSEServerTransport(res)"], [3000], {"transport": "sse", "port": 3000}),
        (["SSEServerTransport", "StdioServerTransport"], [], {}),
        (
            ["SSEServerTransport", "StreamableHTTPServerTransport"],
            [],
            {"transport": "streamable-http"},
        ),
        ([], [7000, 8000], {"transport": "streamable-http", "port": 8000}),
    ],
)
def test_how_a_server_speaks_is_guessed(
    texts: list[str], exposed: list[int], speech: dict[str, object]
) -> None:
    assert from_sources(texts, exposed=exposed) == speech


def test_an_image_that_exposes_nothing_speaks_stdio() -> None:
    assert from_image({}) == {}
    assert from_image({"ExposedPorts": {"53/udp": {}}}) == {}
    assert from_image({"ExposedPorts": {"9999/tcp": {}}}) == {
        "transport": "streamable-http",
        "port": 9999,
    }


@pytest.mark.parametrize(
    "found",
    [None, b"", b"{", b"[]", b'{"version": 3, "entry": ["x"], "image": "evil"}'],
)
def test_what_a_hostile_build_left_is_passed_over(found: bytes | None) -> None:
    assert parse_resolved(found) == {}


@pytest.mark.parametrize(
    "found",
    [
        b'{"released": "yesterday"}',
        b'{"released": "2025-04-25T08:27:27"}',
        b'{"lock": "../../etc/passwd"}',
        b'{"lock": ""}',
        b'{"kept": "yes"}',
    ],
)
def test_what_is_neither_a_moment_nor_a_locks_name_is_passed_over(found: bytes) -> None:
    assert parse_resolved(found) == {}


def test_when_a_package_was_published_and_its_lock_are_read() -> None:
    found = {
        "released": "2025-04-25T08:27:27+00:00",
        "lock": "package-lock.json",
        "kept": True,
    }

    assert parse_resolved(json.dumps(found).encode()) == found


def test_what_the_installer_left_is_read() -> None:
    assert parse_resolved(b'{"version": "1.0", "entry": "x"}') == {
        "version": "1.0",
        "entry": "x",
    }
