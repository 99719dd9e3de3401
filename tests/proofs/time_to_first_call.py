"""From "create" to the first answered tool call, against the same done by hand in the same run.

Both sides build ``mcp-server-time`` from PyPI on the same cached base image, start a container and call
``get_current_time``. By hand that is a four-line Dockerfile, ``docker buildx build``, ``docker run`` and JSON-RPC on the
container's pipes; here it is ``POST /api/servers`` and an MCP client at the endpoint. The sides take turns; medians count.
"""

import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import httpx

from tests.harness.appliance import Appliance
from tests.harness.mcp import HttpMcp, PipeMcp
from tests.proofs.claim import hold

RATIO = 1.5
ROUNDS = 5
TIME_OUT_S = 120

DOCKERFILE = """FROM {base}
USER root
ARG ROUND
RUN echo "$ROUND" && uv venv /opt/server && uv pip install --python /opt/server/bin/python mcp-server-time
USER 10001
ENTRYPOINT ["/opt/server/bin/mcp-server-time"]
"""


def prove() -> None:
    """Take turns and compare medians."""
    with Appliance.temporary() as appliance:
        base = appliance.warm_up()
        ours: list[float] = []
        by_hand: list[float] = []
        for number in range(ROUNDS):
            by_hand.append(_by_hand(base, number))
            ours.append(_hosted(appliance, number))
            print(
                f"round {number + 1}: by hand {by_hand[-1]:5.2f} s, hosted {ours[-1]:5.2f} s"
            )
    ratio = statistics.median(ours) / statistics.median(by_hand)
    hold(
        ratio <= RATIO,
        f"medians: by hand {statistics.median(by_hand):.2f} s, hosted {statistics.median(ours):.2f} s, "
        f"ratio {ratio:.2f}, at most {RATIO}",
    )


def _by_hand(base: str, number: int) -> float:
    tag = f"mcp-host-proof/by-hand:{number}"
    with tempfile.TemporaryDirectory() as directory:
        (Path(directory) / "Dockerfile").write_text(DOCKERFILE.format(base=base))
        started = time.monotonic()
        build = [
            "docker",
            "buildx",
            "build",
            "-q",
            "--load",
            "--build-arg",
            f"ROUND={time.time_ns()}",
            "-t",
            tag,
            directory,
        ]
        subprocess.run(build, check=True, capture_output=True, timeout=TIME_OUT_S)
        with PipeMcp(
            ["docker", "run", "-i", "--rm", "--name", f"by-hand-{number}", tag]
        ) as server:
            server.initialize()
            server.call("get_current_time", timezone="UTC")
            seconds = time.monotonic() - started
    subprocess.run(
        ["docker", "rm", "-f", f"by-hand-{number}"], capture_output=True, check=False
    )
    subprocess.run(["docker", "rmi", "-f", tag], capture_output=True, check=False)
    return seconds


def _hosted(appliance: Appliance, number: int) -> float:
    started = time.monotonic()
    created = appliance.create(f"first-call-{number}", package="pypi:mcp-server-time")
    while True:
        try:
            with HttpMcp(created.endpoint, created.key) as client:
                client.initialize()
                client.call("get_current_time", timezone="UTC")
            break
        except httpx.HTTPError:
            if time.monotonic() - started > TIME_OUT_S:
                raise
            time.sleep(0.05)
    seconds = time.monotonic() - started
    appliance.delete(created.id)
    return seconds
