#!/usr/bin/python3
"""Runs inside a build, as the ordinary user ``mcp``: installs one server and says what it found.

    install pypi '{"name": "mcp-server-time", "version": null}'
    install npm '{"name": "@scope/server", "version": "1.2.3"}'
    install python '{"install": "sync", "scripts": ["x"], "main": ""}'     sources in /opt/mcp/server/app
    install node '{"lock": true, "build": true, "command": ["node", "index.js"]}'

A package may be resolved as of a moment (``"before"``), and may come with the lock that an earlier build wrote
(``"kept"``, with the file ``/opt/mcp/server/kept``), which counts while the package's version is the same.

Everything goes below ``/opt/mcp/server``: ``entry`` starts the server and passes its
arguments on, ``resolved.json`` names what was taken (version, when it was published, program, lock). Caches are
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
import tomllib
from collections.abc import Callable
from importlib.metadata import Distribution, distributions
from typing import Any, NoReturn

SERVER = pathlib.Path("/opt/mcp/server")
APP = SERVER / "app"
VENV = SERVER / "venv"
CACHE = SERVER / ".cache"
#: What a build of the same package wrote earlier, if the hub gave one along.
KEPT = SERVER / "kept"
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


def run(*argv: str, cwd: pathlib.Path = SERVER) -> None:
    """Run ``argv``; end the build with its exit code if it fails."""
    say("$ " + shlex.join(argv))
    ended(subprocess.call(argv, cwd=cwd, env=environment(), stdin=subprocess.DEVNULL))


def ask(*argv: str) -> str:
    """Run ``argv`` and return what it printed; end the build with its exit code if it fails."""
    done = subprocess.run(
        argv,
        cwd=SERVER,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    ended(done.returncode)
    return done.stdout


def ended(code: int) -> None:
    """End the build, too, when a program failed."""
    if code:
        sys.exit(code if code > 0 else 1)


def environment() -> dict[str, str]:
    """Return the environment of what runs in a build: caches that go again, and no questions."""
    for directory in ("home", "tmp"):
        (CACHE / directory).mkdir(parents=True, exist_ok=True)
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
    return {**os.environ, **own}


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


def is_kept(plan: dict[str, Any], version: str) -> bool:
    """Return whether the lock of an earlier build counts: it was written for this very version."""
    kept = plan.get("kept")
    if kept is None:
        return False
    if kept["version"] == version:
        say(f"{plan['name']} is still {version}: what it needs stays as it was.")
        return True
    say(f"{plan['name']} is now {version}, not {kept['version']}: resolving anew.")
    return False


def pypi_release(requirement: str, before: list[str]) -> tuple[str, str]:
    """Return the version that a requirement means, and when it was published (empty: the index does not say)."""
    wanted = CACHE / "wanted.txt"
    wanted.parent.mkdir(exist_ok=True)
    wanted.write_text(requirement)
    options = ["--quiet", "--python", PYTHON, "--no-deps", *before]
    found = ask("uv", "pip", "compile", *options, "--format=pylock.toml", str(wanted))
    (package,) = tomllib.loads(found)["packages"]
    files = [*package.get("wheels", ()), package.get("sdist", {})]
    moments = [item["upload-time"] for item in files if "upload-time" in item]
    return package["version"], min(moments).isoformat() if moments else ""


def install_pypi(plan: dict[str, Any]) -> None:
    """Install a package from PyPI: find its version, resolve what it needs into a lock, install the lock."""
    requirement = (
        f"{plan['name']}=={plan['version']}" if plan["version"] else plan["name"]
    )
    before = exclude_newer(plan)
    make_venv()
    version, released = pypi_release(requirement, before)
    lock = SERVER / "requirements.txt"
    kept = is_kept(plan, version)
    if kept:
        before = exclude_newer(plan["kept"])
        shutil.copyfile(KEPT, lock)
    else:
        wanted = CACHE / "wanted.txt"
        wanted.write_text(f"{plan['name']}=={version}")
        options = ["--quiet", "--no-header", "--generate-hashes", "--python", PYTHON]
        run("uv", "pip", "compile", *options, *before, f"-o{lock}", str(wanted))
    options = ["--python", PYTHON, "--require-hashes", "--no-deps", *before]
    run("uv", "pip", "install", *options, "-r", str(lock))
    name = plan["name"].split("[")[0]
    found = installed(name)
    say(f"Took {name} {found.version}.")
    finish(
        python_program(found, name),
        version=found.version,
        released=released,
        lock=lock.name,
        kept=kept,
    )


def exclude_newer(plan: dict[str, Any]) -> list[str]:
    """Return uv's option for what was published before the plan's moment."""
    return [f"--exclude-newer={plan['before']}"] if plan.get("before") else []


def npm_release(name: str, version: str) -> str:
    """Return when a version was published; empty: the registry does not say."""
    moment: str = json.loads(
        ask("npm", "view", "--json", "--", f"{name}@{version}", "time") or "{}"
    ).get(version, "")
    return moment


def npm_kept(plan: dict[str, Any], *resolving: str) -> bool:
    """Return whether an earlier build's lock counts, which then is in place; else a new lock is, if one was asked for."""
    kept, name = plan.get("kept"), plan["name"]
    if kept is None:
        return False
    version = plan["version"]
    if version != kept["version"]:
        run("npm", "install", "--package-lock-only", *resolving)
        lock = json.loads((SERVER / "package-lock.json").read_text())
        version = lock["packages"][f"node_modules/{name}"]["version"]
    if not is_kept(plan, version):
        return False
    wanted = {"private": True, "dependencies": {name: version}}
    (SERVER / "package.json").write_text(json.dumps(wanted))
    shutil.copyfile(KEPT, SERVER / "package-lock.json")
    return True


def npm_program(home: pathlib.Path, package: dict[str, Any]) -> list[str]:
    """Return the command for a package: one of its programs, or its main module."""
    name = package["name"]
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
    return ["node", os.path.normpath(home / target)]


def install_npm(plan: dict[str, Any]) -> None:
    """Install a package from npm, or what the lock of an earlier build says."""
    name = plan["name"]
    options = ["--omit=dev", "--loglevel=error", "--save-exact"]
    if plan.get("before"):
        options.append(f"--before={plan['before']}")
    resolving = [*options, "--", f"{name}@{plan['version'] or 'latest'}"]
    (SERVER / "package.json").write_text('{"private": true}')
    kept = npm_kept(plan, *resolving)
    if kept:
        run("npm", "ci", "--omit=dev", "--loglevel=error")
    else:
        run("npm", "install", *resolving)
    home = SERVER / "node_modules" / name
    package = json.loads((home / "package.json").read_text())
    say(f"Took {name} {package['version']}.")
    finish(
        npm_program(home, package),
        version=package["version"],
        released=npm_release(name, package["version"]),
        lock="package-lock.json",
        kept=kept,
    )


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
    plan = json.loads(sys.argv[2])
    if plan.get("before"):
        say(f"Only what was published before {plan['before']} is taken: {plan['why']}.")
    how[sys.argv[1]](plan)


if __name__ == "__main__":
    main()
