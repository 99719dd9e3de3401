"""The smallest repository that builds for several platforms and runs something while it does."""

import secrets

from tests.harness.busybox import busybox

AMD, ARM = "linux/amd64", "linux/arm64"

_HEAD = """\
FROM scratch
ARG TARGETARCH
COPY --chmod=755 busybox-${TARGETARCH} /bin/busybox
RUN ["/bin/busybox", "--install", "/bin"]
"""


#: An MCP server over stdio whose one tool says on what it runs.
_SERVER = r"""#!/bin/sh
hello='{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"tiny","version":"1"}}'
tools='{"tools":[{"name":"machine","inputSchema":{"type":"object"}}]}'
while read -r line; do
  id=$(printf '%s' "$line" | sed -n 's/.*"id": *\([0-9]\+\|"[^"]*"\).*/\1/p')
  case "$line" in
    *'"initialize"'*) answer="\"result\":$hello" ;;
    *'"tools/list"'*) answer="\"result\":$tools" ;;
    *'"tools/call"'*) answer='"result":{"content":[{"type":"text","text":"'$(uname -m)'"}]}' ;;
    *) answer='"error":{"code":-32601,"message":"no such method"}' ;;
  esac
  [ -n "$id" ] && printf '{"jsonrpc":"2.0","id":%s,%s}\n' "$id" "$answer"
done
"""


def tiny_server(*steps: str) -> dict[str, str | bytes]:
    """Return the files of a repository that is an MCP server; its tool ``machine`` says on what it runs."""
    files = tiny("COPY --chmod=755 server.sh /server.sh", *steps)
    dockerfile = str(files["Dockerfile"]).replace('"uname", "-m"', '"/server.sh"')
    return files | {"Dockerfile": dockerfile, "server.sh": _SERVER}


def versioned_server(version: str) -> dict[str, str | bytes]:
    """Return the files of a repository that is an MCP server; its tool ``version`` says which of its versions answers."""
    said = _SERVER.replace("'$(uname -m)'", version).replace("machine", "version")
    return tiny_server() | {"server.sh": said}


def tiny(*steps: str) -> dict[str, str | bytes]:
    """Return the files of a repository whose image prints its architecture.

    Args:
        steps: Instructions of its Dockerfile, after a shell is there.
    """
    dockerfile = "\n".join([*steps, 'CMD ["uname", "-m"]', ""])
    return {
        "Dockerfile": _HEAD + dockerfile,
        "busybox-amd64": busybox(AMD).read_bytes(),
        "busybox-arm64": busybox(ARM).read_bytes(),
    }


def fresh(step: str) -> str:
    """Return a step that no cache has seen."""
    return f"{step}; : {secrets.token_hex(8)}"


def slow(seconds: float) -> str:
    """Return a step that takes its time."""
    return fresh(f"RUN echo begun; sleep {seconds:g}; echo ended")
