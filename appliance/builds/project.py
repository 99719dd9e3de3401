"""What kind of project a repository holds and how it is started, from the names and a few texts of its files. Pure."""

import json
import re
import shlex
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from appliance.builds import compiled
from appliance.builds.compiled import GoProject, RustProject
from appliance.builds.errors import ProjectNotRecognisedError

#: Files at the top whose text decides; besides these, those of ``compiled.decides``.
DECIDING = (
    "Dockerfile",
    "pyproject.toml",
    "package.json",
    "requirements.txt",
    "smithery.yaml",
    "server.json",
)
PYTHON_MAINS = (
    "server.py",
    "main.py",
    "app.py",
    "src/server.py",
    "src/main.py",
    "src/app.py",
)
NODE_MAINS = (
    "index.js",
    "server.js",
    "index.mjs",
    "server.mjs",
    "dist/index.js",
    "build/index.js",
    "src/index.js",
)
NODE_LOCKS = ("package-lock.json", "npm-shrinkwrap.json")

_SAFE_PATH = re.compile(r"[A-Za-z0-9_@+.-]+(?:/[A-Za-z0-9_@+.-]+)*")
_SCRIPT_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_PLAIN_START = re.compile(r"node(?: +[A-Za-z0-9_@+./=:-]+)+")


@dataclass(frozen=True)
class Tree:
    """What a checkout's directory shows."""

    #: Paths of regular files, relative, with ``/``.
    files: frozenset[str]
    #: Texts of those that ``decides`` names.
    texts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class DockerfileProject:
    """The repository says itself how it is built."""

    text: str


@dataclass(frozen=True)
class PythonProject:
    """A Python project for the base image."""

    name: str
    #: ``sync`` (uv.lock), ``project`` (installable), ``dependencies`` (of
    #: pyproject.toml), ``requirements``.
    install: str
    scripts: tuple[str, ...] = ()
    main: str = ""


@dataclass(frozen=True)
class NodeProject:
    """A Node project for the base image."""

    command: tuple[str, ...]
    has_lock: bool
    has_build: bool


Project = DockerfileProject | PythonProject | NodeProject | RustProject | GoProject


def decides(name: str) -> bool:
    """Tell whether the text of a file takes part in the decision."""
    return name in DECIDING or compiled.decides(name)


def recognise(tree: Tree, *, name: str, entry: str = "") -> Project:
    """Return how the project is built.

    Args:
        name: The repository's name, by which one of several programs is chosen.
        entry: The program that a person chose; empty: none.

    Raises:
        ProjectNotRecognisedError: Nothing fits; says what was looked for.
    """
    if "Dockerfile" in tree.files:
        return DockerfileProject(tree.texts.get("Dockerfile", ""))
    if "pyproject.toml" in tree.files:
        return _pyproject(tree, name, entry)
    if "package.json" in tree.files:
        return _package_json(tree, entry)
    if compiled.CARGO in tree.files:
        return compiled.rust(tree.files, tree.texts, entry=entry)
    if compiled.GO in tree.files:
        return compiled.go(tree.files, tree.texts, entry=entry)
    if "requirements.txt" in tree.files:
        return PythonProject(
            name, "requirements", main=_main(tree, PYTHON_MAINS, "requirements.txt")
        )
    raise ProjectNotRecognisedError(
        "The repository was not recognised: it has no Dockerfile, pyproject.toml, package.json, Cargo.toml, go.mod or"
        " requirements.txt"
        f" (found: {_listed(tree)}).",
        hint="Add one of these, or name the directory of the server as its subdirectory.",
    )


def _pyproject(tree: Tree, name: str, entry: str) -> PythonProject:
    try:
        data = tomllib.loads(tree.texts.get("pyproject.toml", ""))
    except tomllib.TOMLDecodeError as error:
        raise ProjectNotRecognisedError(
            f"The repository's pyproject.toml cannot be read: {error}."
        ) from error
    project = _mapping(data.get("project"))
    poetry = _mapping(_mapping(data.get("tool")).get("poetry"))
    declared = _mapping(project.get("scripts")) or _mapping(poetry.get("scripts"))
    scripts = tuple(item for item in declared if _SCRIPT_NAME.fullmatch(item))
    if entry:
        scripts = (_entry(entry, scripts),)
    own_name = str(project.get("name") or poetry.get("name") or name)
    main = (
        "" if scripts else _main(tree, PYTHON_MAINS, "pyproject.toml without scripts")
    )
    return PythonProject(
        own_name, _install(tree, data, has_scripts=bool(scripts)), scripts, main
    )


def _install(tree: Tree, data: Mapping[str, Any], *, has_scripts: bool) -> str:
    if "uv.lock" in tree.files:
        return "sync"
    # Without a build system and scripts it is a list of dependencies beside some files,
    # which setuptools would refuse.
    if has_scripts or "build-system" in data:
        return "project"
    if _mapping(data.get("project")).get("dependencies") is not None:
        return "dependencies"
    return "requirements" if "requirements.txt" in tree.files else "project"


def _package_json(tree: Tree, entry: str) -> NodeProject:
    try:
        data = _mapping(json.loads(tree.texts.get("package.json", "")))
    except ValueError as error:
        raise ProjectNotRecognisedError(
            f"The repository's package.json cannot be read: {error}."
        ) from error
    scripts = _mapping(data.get("scripts"))
    return NodeProject(
        command=_node_command(tree, data, scripts, entry),
        has_lock=any(name in tree.files for name in NODE_LOCKS),
        has_build="build" in scripts,
    )


def _node_command(
    tree: Tree, data: Mapping[str, Any], scripts: Mapping[str, Any], entry: str
) -> tuple[str, ...]:
    programs = data.get("bin")
    own_name = str(data.get("name", "")).rsplit("/", 1)[-1]
    if entry:
        known = programs if isinstance(programs, Mapping) else {own_name: programs}
        programs = known[_entry(entry, tuple(known))]
    if isinstance(programs, Mapping) and programs:
        programs = programs.get(own_name) or next(iter(programs.values()))
    if isinstance(programs, str) and (path := _safe(programs)):
        return ("node", path)
    start = scripts.get("start")
    if isinstance(start, str) and start.strip():
        # npm prints a banner on standard output, where a stdio server speaks; so a
        # plain command is run without it.
        plain = _PLAIN_START.fullmatch(start.strip())
        return (
            tuple(shlex.split(start))
            if plain
            else ("npm", "run", "--silent", "start", "--")
        )
    if isinstance(data.get("main"), str) and (path := _safe(data["main"])):
        return ("node", path)
    return (
        "node",
        _main(tree, NODE_MAINS, "package.json without bin, start script and main"),
    )


def _entry(entry: str, programs: tuple[str, ...]) -> str:
    """Return the program that a person chose.

    Raises:
        ProjectNotRecognisedError: There is none of the name; names those that there are.
    """
    if entry not in programs:
        there = f"it has {', '.join(programs[:12])}" if programs else "it names none"
        raise ProjectNotRecognisedError(
            f"The repository has no program {entry}; {there}.",
            hint="Name one of its programs as the server's entry, or none.",
        )
    return entry


def _safe(path: str) -> str | None:
    """Return a path inside the repository without a leading ``./``; ``None`` if it leads out or has strange characters."""
    found = path.removeprefix("./")
    return (
        found if _SAFE_PATH.fullmatch(found) and ".." not in found.split("/") else None
    )


def _main(tree: Tree, candidates: tuple[str, ...], because: str) -> str:
    found = next((item for item in candidates if item in tree.files), None)
    if found is None:
        raise ProjectNotRecognisedError(
            f"The repository has {because}, and none of {', '.join(candidates)} (found: {_listed(tree)}).",
            hint="Name the program that starts the server there, or add a Dockerfile.",
        )
    return found


def _listed(tree: Tree) -> str:
    top = sorted(item for item in tree.files if "/" not in item)
    return ", ".join(top[:8]) + (" …" if len(top) > 8 else "") if top else "no files"  # noqa: PLR2004 - enough to recognise it


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
