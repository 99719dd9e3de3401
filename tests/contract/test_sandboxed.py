"""The tier ``sandboxed`` on an engine that has gVisor (scripts/install_gvisor.sh gives it one)."""

import asyncio
import json
from dataclasses import replace

import pytest

from appliance.runtimes.docker import DockerExecutor
from appliance.runtimes.errors import StartFailedError
from appliance.runtimes.isolation import Isolation, Tier
from appliance.runtimes.model import InstanceSpec, InstanceState, Limits

LOOK = """
import json, os, pathlib, sys
pathlib.Path('/data/kept').write_text('kept')
try:
    pathlib.Path('/x').write_text('x')
    root = True
except OSError:
    root = False
print(json.dumps({'kernel': open('/proc/version').read(), 'uid': os.getuid(), 'root': root}), flush=True)
"""


@pytest.fixture
def spec(spec: InstanceSpec) -> InstanceSpec:
    return replace(
        spec,
        arguments=("python3", "-c", LOOK),
        limits=Limits(memory_bytes=256 * 1024**2),
    )


async def test_a_sandboxed_server_meets_another_kernel_and_keeps_its_place(
    docker_executor: DockerExecutor, spec: InstanceSpec
) -> None:
    if Tier.SANDBOXED not in (await docker_executor.describe()).isolation_tiers:
        pytest.skip("this box's engine has no gVisor")

    await docker_executor.start(replace(spec, isolation=Isolation(tier=Tier.SANDBOXED)))

    for _ in range(200):
        (instance,) = await docker_executor.instances()
        if instance.state is InstanceState.EXITED:
            break
        await asyncio.sleep(0.05)
    seen = json.loads((await docker_executor.tail(spec.name))[-1].text)
    assert "gVisor" in seen["kernel"] or "4.4.0" in seen["kernel"]
    assert (seen["uid"], seen["root"]) == (10001, False)


async def test_what_this_engine_cannot_give_is_refused_and_leaves_nothing(
    docker_executor: DockerExecutor, spec: InstanceSpec
) -> None:
    for wanted in (Isolation(tier=Tier.VM), Isolation(use_gpu=True)):
        described = await docker_executor.describe()
        if wanted.use_gpu and "gpu" in described.capabilities:
            continue
        with pytest.raises(StartFailedError, match=r"choose|leave"):
            await docker_executor.start(replace(spec, isolation=wanted))

    assert await docker_executor.instances() == []
