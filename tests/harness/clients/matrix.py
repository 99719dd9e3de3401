"""Who the clients are, how each is started, and what each cannot do whatever it stands before."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tests.harness.clients import inspector
from tests.harness.node import environment, node

DEEDS = ("list", "call", "progress", "cancel", "read", "prompt", "sample", "elicit")
_ROOT = Path(__file__).parent.parent.parent.parent
_DRIVER_S = 90

#: Address and Authorization header in, outcome by deed out.
Run = Callable[[str, str], Mapping[str, str]]


@dataclass(frozen=True)
class Client:
    """One client, in one way of using it."""

    name: str
    run: Run
    #: Deeds that it cannot do, each with the reason; measured without a gateway, too.
    cannot: Mapping[str, str] = field(default_factory=dict)


def _driven(
    command: Callable[[str, str], list[str]], url: str, key: str
) -> Mapping[str, str]:
    """Run a driver and return what it printed last; it and all it started are gone afterwards."""
    with (
        tempfile.TemporaryFile("w+") as output,
        tempfile.TemporaryFile("w+") as errors,
        tempfile.TemporaryDirectory() as home,
    ):
        more = {"MCP_AUTHORIZATION": key, "HOME": home}
        # Files, because what outlives a driver would hold its pipes open.
        with subprocess.Popen(
            command(url, key),
            cwd=_ROOT,
            env=environment(more),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            start_new_session=True,
        ) as process:
            try:
                process.wait(_DRIVER_S)
            except subprocess.TimeoutExpired:
                pass
            finally:
                _end_group(process.pid)
        output.seek(0)
        errors.seek(0)
        lines = output.read().splitlines() or [""]
        return _outcomes(lines[-1], errors.read())


def _end_group(group: int) -> None:
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return


def _outcomes(line: str, errors: str) -> Mapping[str, str]:
    try:
        found: dict[str, str] = json.loads(line)
    except ValueError:
        why = " ".join(errors.split())[-300:] or f"nothing within {_DRIVER_S} s"
        return dict.fromkeys(DEEDS, f"no outcome: {why}")
    return found


def _python(mode: str) -> Run:
    module = "tests.harness.clients.python_sdk"
    return partial(_driven, lambda url, _: [sys.executable, "-m", module, url, mode])


def _typescript() -> Run:
    return partial(_driven, lambda url, _: node("typescript_sdk.mjs", url))


def _over_sse(url: str, _: str) -> list[str]:
    return node("typescript_sdk.mjs", f"{url.removesuffix('/mcp')}/sse")


def _over_stdio(program: Callable[[str, str], list[str]]) -> Run:
    """Put the TypeScript SDK's client before a program that makes a stdio server of the endpoint."""
    return partial(
        _driven, lambda url, key: node("typescript_sdk.mjs", "--", *program(url, key))
    )


def _mcp_remote(url: str, key: str, *options: str) -> list[str]:
    # No blank after the colon: that is how it wants its headers.
    return node("mcp-remote", url, "--header", f"Authorization:{key}", *options)


_NO_OPTION = "its command line has nothing for it"
_INSPECTOR = {
    "progress": "its command line shows none",
    "cancel": _NO_OPTION,
    "sample": "its command line has no model: it fails, or waits for ever",
    "elicit": "its command line has nobody to ask: it cancels, or waits for ever",
}
_PROXY = {
    "sample": "what servers ask does not cross it, as its README says",
    "elicit": "what servers ask does not cross it, as its README says",
}
_REMOTE_AUTO = {
    "cancel": "it tells a stateless server notifications/cancelled and does not hang up"
}

CLIENTS = (
    Client("python auto", _python("auto")),
    Client("python legacy", _python("legacy")),
    Client("python modern", _python("2026-07-28")),
    Client("typescript", _typescript()),
    Client("typescript sse", partial(_driven, _over_sse)),
    Client("inspector legacy", partial(inspector.run, era="legacy"), _INSPECTOR),
    Client("inspector modern", partial(inspector.run, era="modern"), _INSPECTOR),
    Client("mcp-remote", _over_stdio(_mcp_remote)),
    Client(
        "mcp-remote auto",
        _over_stdio(lambda url, key: _mcp_remote(url, key, "--protocol", "auto")),
        _REMOTE_AUTO,
    ),
    Client(
        "mcp-proxy",
        _over_stdio(lambda url, _: node("mcp_proxy_stdio.mjs", url)),
        _PROXY,
    ),
)
