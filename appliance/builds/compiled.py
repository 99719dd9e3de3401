"""Rust and Go projects: which programs they have, and which one is the server. Pure."""

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from appliance.builds.errors import ProjectNotRecognisedError

CARGO = "Cargo.toml"
GO = "go.mod"
MAX_NAMED = 12
#: What is there to be read, and is no part of the project.
_ASIDE = frozenset({"vendor", "target", "testdata", "node_modules", "third_party"})
_PROGRAM = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_MODULE = re.compile(r"^module\s+[\"']?([^\s\"']+)", re.MULTILINE)
_MAIN = re.compile(r"^package[ \t]+main\b", re.MULTILINE)
_IGNORED = re.compile(r"^//(?:go:build|[ \t]*\+build)[ \t]+ignore\b", re.MULTILINE)
_DIRECTORY = re.compile(r"[A-Za-z0-9_@+.-]+(?:/[A-Za-z0-9_@+.-]+)*")
_VERSION_PART = re.compile(r"v\d+")


@dataclass(frozen=True)
class RustProject:
    """A Cargo package or workspace."""

    #: The program that is the server.
    binary: str
    #: The package that has it.
    package: str
    has_lock: bool


@dataclass(frozen=True)
class GoProject:
    """A Go module."""

    #: What the program is called.
    binary: str
    #: Directory of its main package, ``.`` or ``cmd/server``.
    directory: str


def decides(name: str) -> bool:
    """Tell whether a file's text takes part in this: manifests, and Go files that may hold a main package."""
    path = PurePosixPath(name)
    if _ASIDE.intersection(path.parts):
        return False
    is_go = path.suffix == ".go" and not path.name.endswith("_test.go")
    return path.name == CARGO or is_go or name == GO


def rust(files: frozenset[str], texts: Mapping[str, str], *, entry: str) -> RustProject:
    """Return the program of a Cargo project.

    Raises:
        ProjectNotRecognisedError: It has none, or several and none is chosen.
    """
    root = _manifest(texts, CARGO)
    programs: dict[str, str] = {}
    chosen = []
    for directory, manifest in _packages(root, texts):
        package = str(_table(manifest, "package").get("name", ""))
        for program in _binaries(directory, manifest, files):
            programs.setdefault(program, package)
        default = _table(manifest, "package").get("default-run")
        chosen += [default] if isinstance(default, str) else []
    binary = _one(programs, entry, chosen, "Cargo.toml")
    return RustProject(binary, programs[binary], has_lock="Cargo.lock" in files)


def go(files: frozenset[str], texts: Mapping[str, str], *, entry: str) -> GoProject:
    """Return the program of a Go module.

    Raises:
        ProjectNotRecognisedError: It has none, or several and none is chosen.
    """
    module = _MODULE.search(texts.get(GO, ""))
    names = [part for part in (module[1] if module else "").split("/") if part]
    own = next(
        (part for part in reversed(names) if not _VERSION_PART.fullmatch(part)),
        "server",
    )
    # The nearest first: of two programs of one name, it is the one that is meant.
    directories = sorted(_mains(files, texts), key=lambda item: (item.count("/"), item))
    programs: dict[str, str] = {}
    for directory in directories:
        name = own if directory == "." else directory.rsplit("/", 1)[-1]
        if _PROGRAM.fullmatch(name):
            programs.setdefault(name, directory)
    # A main package at the top is what `go install` of the module gives.
    chosen = [own] if programs.get(own) == "." else []
    commands = [name for name, at in programs.items() if at.startswith("cmd/")]
    if len(commands) == 1:
        chosen += commands
    binary = _one(programs, entry, chosen, GO)
    return GoProject(binary, programs[binary])


def _one(
    programs: Mapping[str, str], entry: str, chosen: Iterable[str], manifest: str
) -> str:
    listed = ", ".join(sorted(programs)[:MAX_NAMED])
    if not programs:
        raise ProjectNotRecognisedError(
            f"The repository's {manifest} has no program that could be started, only libraries.",
            hint="Name the directory of the server as its subdirectory, or add a Dockerfile.",
        )
    if entry:
        if entry in programs:
            return entry
        raise ProjectNotRecognisedError(
            f"The repository has no program {entry}; it has {listed}.",
            hint="Name one of these as the server's entry.",
        )
    known = [name for name in chosen if name in programs]
    if len(programs) == 1 or known:
        return known[0] if known else next(iter(programs))
    raise ProjectNotRecognisedError(
        f"The repository has several programs: {listed}.",
        hint="Name the one that is the server as its entry, or the directory that holds it alone as its subdirectory.",
    )


def _packages(
    root: Mapping[str, Any], texts: Mapping[str, str]
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield directory and manifest of the package at the top, and of a workspace's members."""
    if "package" in root:
        yield "", root
    workspace = _table(root, "workspace")
    members, excluded = _texts(workspace, "members"), _texts(workspace, "exclude")
    for name in sorted(texts):
        directory = name.removesuffix(f"/{CARGO}")
        is_member = any(_matches(directory, pattern) for pattern in members)
        if directory == name or not is_member or directory in excluded:
            continue
        manifest = _manifest(texts, name)
        if "package" in manifest:
            yield f"{directory}/", manifest


def _matches(directory: str, pattern: str) -> bool:
    """Tell whether a member's pattern means a directory: ``*`` stands for one part of the path."""
    wanted, given = pattern.strip("/").split("/"), directory.split("/")
    return len(wanted) == len(given) and all(
        want == part or ("*" in want and PurePosixPath(part).match(want))
        for want, part in zip(wanted, given, strict=True)
    )


def _binaries(
    directory: str, manifest: Mapping[str, Any], files: frozenset[str]
) -> Iterator[str]:
    package = _table(manifest, "package")
    declared = manifest.get("bin")
    names = [
        item.get("name")
        for item in (declared if isinstance(declared, list) else [])
        if isinstance(item, Mapping)
    ]
    if package.get("autobins", True) is not False:
        if f"{directory}src/main.rs" in files:
            # One that is declared for this file may have another name.
            is_named = any(
                isinstance(item, Mapping) and item.get("path") == "src/main.rs"
                for item in (declared if isinstance(declared, list) else [])
            )
            names += [] if is_named else [package.get("name")]
        names += _auto(f"{directory}src/bin/", files)
    for name in dict.fromkeys(names):
        if isinstance(name, str) and _PROGRAM.fullmatch(name):
            yield name


def _auto(place: str, files: frozenset[str]) -> list[str]:
    found = []
    for name in sorted(item for item in files if item.startswith(place)):
        parts = name.removeprefix(place).split("/")
        if len(parts) == 1 and parts[0].endswith(".rs"):
            found.append(parts[0].removesuffix(".rs"))
        elif parts[1:] == ["main.rs"]:
            found.append(parts[0])
    return found


def _mains(files: frozenset[str], texts: Mapping[str, str]) -> set[str]:
    """Return directories that hold a main package."""
    found = set()
    for name in files:
        text = texts.get(name, "") if name.endswith(".go") else ""
        if _MAIN.search(text) and not _IGNORED.search(text):
            directory = name.rpartition("/")[0] or "."
            if _DIRECTORY.fullmatch(directory):
                found.add(directory)
    return found


def _manifest(texts: Mapping[str, str], name: str) -> Mapping[str, Any]:
    try:
        return tomllib.loads(texts.get(name, ""))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ProjectNotRecognisedError(
            f"The repository's {name} cannot be read: {error}."
        ) from error


def _table(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = data.get(name)
    return found if isinstance(found, Mapping) else {}


def _texts(data: Mapping[str, Any], name: str) -> list[str]:
    found = data.get(name)
    listed = found if isinstance(found, list) else []
    return [item for item in listed if isinstance(item, str)]
