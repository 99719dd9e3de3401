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


def tiny(*steps: str, port: int | None = None) -> dict[str, str | bytes]:
    """Return the files of a repository whose image prints its architecture.

    Args:
        steps: Instructions of its Dockerfile, after a shell is there.
        port: What it exposes.
    """
    exposed = [f"EXPOSE {port}"] if port else []
    dockerfile = "\n".join([*steps, *exposed, 'CMD ["uname", "-m"]', ""])
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
