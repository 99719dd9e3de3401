"""Which clients go through OAuth, and how each is started."""

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass

from tests.harness.node import node
from tests.harness.oauth import Documents

#: Endpoint and the client's document (empty: it registers itself) in, command out.
Command = Callable[[str, str], list[str]]
_OPEN = re.compile(r"^OPEN (\S+)")
#: What a program prints for people.
_PRINTED = re.compile(r"(https?://\S+/oauth/authorize\?\S+)")
_REMOTE_PORT = 21571
_INSPECTOR_BACK = "http://127.0.0.1:21572/oauth/callback"


@dataclass(frozen=True)
class Client:
    """One client, in one way of becoming known."""

    name: str
    command: Command
    #: Serves its document and returns its id; ``None``: it registers itself.
    document: Callable[[Documents], str] | None = None
    #: Finds the address that it wants opened, in what it prints.
    opens: re.Pattern[str] = _OPEN


def _python(url: str, document: str) -> list[str]:
    module = "tests.harness.clients.oauth_python"
    return [sys.executable, "-m", module, url, *([document] if document else [])]


def _typescript(url: str, document: str) -> list[str]:
    return node("oauth_typescript.mjs", url, *([document] if document else []))


def _mcp_remote(url: str, document: str) -> list[str]:
    # Its port is its own choice unless a document has to name it.
    named = [str(_REMOTE_PORT), "--client-metadata-url", document] if document else []
    remote = node("mcp-remote", url, *named, "--auth-timeout", "60")
    return node("oauth_typescript.mjs", "--", *remote)


def _inspector(url: str, document: str) -> list[str]:
    target = ["--cli", url, "--transport", "http", "--format", "json"]
    deed = ["--method", "tools/call", "--tool-name", "test_simple_text"]
    known = ["--client-metadata-url", document] if document else []
    back = ["--callback-url", _INSPECTOR_BACK]
    return node("inspector", *target, *deed, *known, *back)


def _native(served: Documents) -> str:
    """Serve the document of programs on a person's own computer."""
    return served.put(
        "/native.json",
        client_name="A native client",
        redirect_uris=[
            "http://127.0.0.1/callback",
            f"http://localhost:{_REMOTE_PORT}/oauth/callback",
            _INSPECTOR_BACK,
        ],
    )


CLIENTS = (
    Client("python sdk, registered", _python),
    Client("python sdk, document", _python, _native),
    Client("typescript sdk, registered", _typescript),
    Client("typescript sdk, document", _typescript, _native),
    Client("mcp-remote, registered", _mcp_remote, opens=_PRINTED),
    Client("mcp-remote, document", _mcp_remote, _native, opens=_PRINTED),
    Client("inspector, registered", _inspector, opens=_PRINTED),
    Client("inspector, document", _inspector, _native, opens=_PRINTED),
)
