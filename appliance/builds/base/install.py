#!/usr/bin/python3
"""Runs inside a build, as the ordinary user ``mcp``: installs one server and says what it found.

    install pypi '{"name": "mcp-server-time", "version": null}' install npm '{"name":
    "@scope/server", "version": "1.2.3"}' install python '{"install": "sync", "scripts":
    ["x"], "main": ""}'     sources in /opt/mcp/server/app install node '{"lock": true,
    "build": true, "command": ["node", "index.js"]}'

Everything goes below ``/opt/mcp/server``: ``entry`` starts the server and passes its
arguments on, ``resolved.json`` names what was taken (version, program). Caches are
removed again in the same layer. The standard library only.
"""

import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import Distribution, distributions
from typing import Any, NoReturn

SERVER = pathlib.Path("/opt/mcp/server")
APP = SERVER / "app"
VENV = SERVER / "venv"
CACHE = SERVER / ".cache"
#: In a subshell that ends at once, so that the server gets no child that it did not
#: start.
RELAY = (
    '[ -z "$MCP_HOST_HTTP_PORT" ] || '
    '(/usr/bin/python3 -IS /opt/mcp/base/relay.py "$MCP_HOST_HTTP_PORT" </dev/null >/dev/null &)'
)
PYTHON = str(VENV / "bin/python")


def say(text: str) -> None:
    """Put ``text`` into the build log, in order with what programs print."""
    print(text, flush=True)


def refuse(code: str, text: str) -> NoReturn:
    """End with a line that the build's classifier knows by its code."""
    say(f"mcp-host: {code}: {text}")
    sys.exit(1)


def run(*argv: str, cwd: pathlib.Path = SERVER, **environment: str) -> None:
    """Run ``argv``; end the build with its exit code if it fails."""
    say("$ " + shlex.join(argv))
    own = {
        "HOME": str(CACHE / "home"),
        "TMPDIR": str(CACHE / "tmp"),
        "UV_CACHE_DIR": str(CACHE / "uv"),
        "UV_PROJECT_ENVIRONMENT": str(VENV),
        "UV_COMPILE_BYTECODE": "1",
        "UV_NO_PROGRESS": "1",
        "NPM_CONFIG_CACHE": str(CACHE / "npm"),
        "NPM_CONFIG_FUND": "false",
        "NPM_CONFIG_AUDIT": "false",
        "NPM_CONFIG_PROGRESS": "false",
        # npm's own patience without a network is over a minute.
        "NPM_CONFIG_FETCH_RETRY_MINTIMEOUT": "1000",
        "NPM_CONFIG_FETCH_RETRY_MAXTIMEOUT": "5000",
        "CI": "1",
    }
    for directory in ("home", "tmp"):
        (CACHE / directory).mkdir(parents=True, exist_ok=True)
    code = subprocess.call(
        argv,
        cwd=cwd,
        env={**os.environ, **own, **environment},
        stdin=subprocess.DEVNULL,
    )
    if code:
        sys.exit(code if code > 0 else 1)


def normal(name: str) -> str:
    """Return ``name`` as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def choose(names: list[str], package: str) -> str:
    """Return the program that is most likely the server.

    The one named like the package, else one that says that it is an MCP server, else
    the first.
    """
    wanted = normal(package.rsplit("/", 1)[-1])
    ranks: tuple[Callable[[str], bool], ...] = (
        lambda name: normal(name) == wanted,
        lambda name: "mcp" in normal(name) and "server" in normal(name),
        lambda name: "mcp" in normal(name),
        bool,
    )
    return next(name for rank in ranks for name in names if rank(name))


def finish(command: list[str], cwd: str | None = None, **resolved: object) -> None:
    """Write ``entry`` and ``resolved.json``, and leave no cache behind."""
    lines = ["#!/bin/sh", RELAY] + ([f"cd {shlex.quote(cwd)} || exit 1"] if cwd else [])
    entry = SERVER / "entry"
    entry.write_text("\n".join([*lines, f'exec {shlex.join(command)} "$@"', ""]))
    entry.chmod(0o755)
    (SERVER / "resolved.json").write_text(
        json.dumps({"entry": shlex.join(command), **resolved})
    )
    shutil.rmtree(CACHE, ignore_errors=True)
    say(f"Starts with: {shlex.join(command)}")


def make_venv() -> None:
    """Make the server's own environment from Debian's Python."""
    run("uv", "venv", "--quiet", "--python", "/usr/bin/python3", str(VENV))


def installed(name: str) -> Distribution:
    """Return what was installed into the server's environment under ``name``."""
    places = [str(path) for path in (VENV / "lib").glob("python3*/site-packages")]
    return next(
        item
        for item in distributions(path=places)
        if normal(item.metadata["Name"]) == normal(name)
    )


def python_program(found: Distribution, name: str) -> list[str]:
    """Return the command for a distribution: one of its scripts, or a package that can be run by ``-m``."""
    scripts = [
        item.name for item in found.entry_points if item.group == "console_scripts"
    ]
    if scripts:
        return [str(VENV / "bin" / choose(scripts, name))]
    mains = [
        str(item.parent) for item in found.files or () if item.name == "__main__.py"
    ]
    packages = [item.replace("/", ".") for item in mains if item != "."]
    if not packages:
        refuse(
            "no-program",
            f"{name} {found.version} has no program to start: no console script and no __main__ module.",
        )
    return [PYTHON, "-m", choose(packages, name)]


def install_pypi(plan: dict[str, Any]) -> None:
    """Install a package from PyPI."""
    requirement = (
        f"{plan['name']}=={plan['version']}" if plan["version"] else plan["name"]
    )
    make_venv()
    run("uv", "pip", "install", "--python", PYTHON, "--", requirement)
    name = plan["name"].split("[")[0]
    found = installed(name)
    say(f"Took {name} {found.version}.")
    finish(python_program(found, name), version=found.version)


def install_npm(plan: dict[str, Any]) -> None:
    """Install a package from npm."""
    name = plan["name"]
    (SERVER / "package.json").write_text('{"private": true}')
    run(
        "npm",
        "install",
        "--omit=dev",
        "--loglevel=error",
        "--",
        f"{name}@{plan['version'] or 'latest'}",
    )
    home = SERVER / "node_modules" / name
    package = json.loads((home / "package.json").read_text())
    say(f"Took {name} {package['version']}.")
    programs = package.get("bin") or {}
    if isinstance(programs, str):
        programs = {name.rsplit("/", 1)[-1]: programs}
    named = programs[choose(list(programs), name)] if programs else None
    target = named or package.get("main")
    if not target:
        refuse(
            "no-program",
            f"{name} {package['version']} has no program to start: its package.json has neither bin nor main.",
        )
    finish(["node", os.path.normpath(home / target)], version=package["version"])


def install_python(plan: dict[str, Any]) -> None:
    """Install a Python project from its sources."""
    make_venv()
    how = {
        "sync": ["uv", "sync", "--frozen", "--no-dev", "--no-editable"],
        "project": ["uv", "pip", "install", "--python", PYTHON, "."],
        "dependencies": [
            "uv",
            "pip",
            "install",
            "--python",
            PYTHON,
            "-r",
            "pyproject.toml",
        ],
        "requirements": [
            "uv",
            "pip",
            "install",
            "--python",
            PYTHON,
            "-r",
            "requirements.txt",
        ],
    }
    run(*how[plan["install"]], cwd=APP)
    scripts = [name for name in plan["scripts"] if (VENV / "bin" / name).exists()]
    if scripts:
        finish([str(VENV / "bin" / choose(scripts, plan["name"]))], cwd=str(APP))
    elif plan["main"]:
        finish([PYTHON, plan["main"]], cwd=str(APP))
    else:
        refuse(
            "no-program",
            f"none of the scripts {', '.join(plan['scripts'])} was installed.",
        )


def install_node(plan: dict[str, Any]) -> None:
    """Install and build a Node project from its sources."""
    run("npm", "ci" if plan["lock"] else "install", "--loglevel=error", cwd=APP)
    if plan["build"]:
        run("npm", "run", "build", cwd=APP)
        run("npm", "prune", "--omit=dev", "--loglevel=error", cwd=APP)
    finish(plan["command"], cwd=str(APP))


def main() -> None:
    """Do what the arguments say."""
    how = {
        "pypi": install_pypi,
        "npm": install_npm,
        "python": install_python,
        "node": install_node,
    }
    how[sys.argv[1]](json.loads(sys.argv[2]))


if __name__ == "__main__":
    main()
