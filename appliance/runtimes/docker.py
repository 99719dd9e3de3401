"""The Docker executor: containers on this box's engine."""

import asyncio
import contextlib
import json
import math
from collections.abc import AsyncGenerator, Callable, Collection, Mapping
from contextlib import aclosing
from dataclasses import replace
from http import HTTPStatus
from typing import Any

import aiodocker
import structlog

from appliance.core import labels
from appliance.core.errors import DomainError
from appliance.infra.docker import CONTROL_TIMEOUT_S, Engine, is_missing, words
from appliance.infra.memory_files import MemoryFiles
from appliance.runtimes import inspection
from appliance.runtimes.absences import Absences
from appliance.runtimes.container import container_config
from appliance.runtimes.data_disks import DataDisks
from appliance.runtimes.docker_secrets import (
    ContainerSecrets,
    Hiding,
    hide_nothing,
)
from appliance.runtimes.docker_sessions import (
    is_sessions,
    session,
    sessions_of,
    stop_all,
)
from appliance.runtimes.docker_space import Space
from appliance.runtimes.errors import (
    EngineUnavailableError,
    StartFailedError,
    no_room,
)
from appliance.runtimes.frames import FrameReader
from appliance.runtimes.hardening import EngineFacts, engine_facts
from appliance.runtimes.isolation import DataUse, Relaxation, unmet
from appliance.runtimes.model import (
    ExecutorDescriptor,
    ExecutorEvent,
    Instance,
    InstanceSpec,
    InstanceState,
    LogLine,
    SessionContainer,
)
from appliance.runtimes.pressure import Pressure, pressures
from appliance.runtimes.volumes import DockerVolumes, ImageMaker

log = structlog.get_logger(__name__)

RECONNECT_AFTER_S = 1.0
CHECK_TIMEOUT_S = 5.0
TWIN_TRIES = 30
TWIN_PAUSE_S = 0.1
#: Containers that are looked into at once.
INSPECTIONS = 8
_EVENTS = ["start", "die", "oom", "destroy", "pause", "unpause"]


class DockerExecutor:
    """Runs instances as containers; see ``Executor`` for the promises.

    Args:
        engine: The door to the engine; the caller closes it.
        owner: This installation's id. What carries another is never touched.
        subnet_pool: Range that servers' networks are cut from.
        disks: Gives each server's ``/data`` a size; ``None``: it is a directory.
        memory: Where secrets lie in memory; ``None``: there is nowhere.
        hiding: What keeps secrets out of what servers print.
    """

    name = "docker"

    def __init__(
        self,
        engine: Engine,
        *,
        owner: str,
        subnet_pool: str,
        disks: DataDisks | None = None,
        memory: MemoryFiles | None = None,
        hiding: Hiding = hide_nothing,
    ) -> None:
        """Keep the parts; nothing is connected yet."""
        self._secrets = ContainerSecrets(memory)
        self._hiding = hiding
        self._engine = engine
        self._owner = owner
        self._absences = Absences()
        self._space = Space(engine, owner=owner, subnet_pool=subnet_pool, disks=disks)

    def volumes(self, image: ImageMaker) -> DockerVolumes:
        """Return what opens servers' volumes by helpers of ``image``; the caller closes it."""
        return DockerVolumes(
            self._engine, owner=self._owner, space=self._space, image=image
        )

    async def describe(self) -> ExecutorDescriptor:
        """Return what this engine can do now."""
        facts = await self._engine_facts()
        return ExecutorDescriptor(
            name=self.name,
            capabilities=facts.capabilities | {"image-build", "volumes", "logs"},
            isolation_tiers=facts.tiers,
            data_unlimited_because=await self._space.unlimited_because(),
        )

    async def states(self) -> Mapping[str, tuple[int, InstanceState]]:
        """Return server and state of every instance, by its container, from one look."""
        async with self._engine.reach() as client:
            listed = await self._list(client, None)
        return dict(inspection.state(item) for item in listed if not is_sessions(item))

    async def data_uses(self, server_ids: Collection[int]) -> Mapping[int, DataUse]:
        """Return how full the /data of these servers is, but of those of which it cannot be seen."""
        return await self._space.uses(server_ids)

    async def data_sizes(self) -> Mapping[int, int]:
        """Return what the ``/data`` of each server takes of the box, running or not; costs the engine a walk through them."""
        return await self._space.sizes()

    async def pressures(self, container_ids: Collection[str]) -> Mapping[str, Pressure]:
        """Return how often these containers were held back by their limits, but of those of which it cannot be seen."""
        return await asyncio.to_thread(pressures, container_ids)

    async def _engine_facts(self) -> EngineFacts:
        async with self._engine.reach() as client:
            return engine_facts(await client.system.info())

    async def check(self) -> str:
        """Return the engine's version in words."""
        async with self._engine.reach(timeout_s=CHECK_TIMEOUT_S) as client:
            version = await client.version()
        return f"Docker {version['Version']}"

    def _container_name(self, name: str) -> str:
        """Return what an instance is called on the engine, where another appliance may have one of the same name."""
        return f"{name}.{self._owner}"

    async def _inspect(self, name: str) -> dict[str, Any] | None:
        async with self._engine.reach() as client:
            return await _show(client.containers.container(self._container_name(name)))

    async def start(self, spec: InstanceSpec) -> Instance:
        """Create what ``spec`` describes, or find it by name, and start it."""
        found = await self._inspect(spec.name)
        if found is None:
            found = await self._create(spec)
        elif inspection.instance(found).state is not InstanceState.RUNNING:
            # Its disk is attached anew where the box was restarted.
            await self._ensure_volume(spec)
        if inspection.instance(found).state is not InstanceState.RUNNING:
            await self._secrets.fill(spec, found)
            await self._start_container(spec, found)
            started = await self._inspect(spec.name)
            if started is None:
                raise StartFailedError(
                    "The container was removed by somebody else while it started."
                )
            found = started
        log.info(
            "instance_started",
            name=spec.name,
            server_id=spec.server_id,
            container_id=found["Id"][:12],
        )
        self._absences.started(found["Id"])
        return inspection.instance(found)

    async def _create(self, spec: InstanceSpec) -> dict[str, Any]:
        facts = await self._engine_facts()
        _check(spec, facts)
        volume = await self._ensure_volume(spec)
        image = await self._space.image_facts(
            spec.image,
            volume,
            may_be_root=Relaxation.ROOT_USER in spec.isolation.relaxations,
        )
        network = await self._space.ensure_network(spec.server_id)
        config = container_config(
            spec,
            image,
            owner=self._owner,
            network=network,
            volume=volume,
            engine=facts,
            secrets=await self._secrets.prepare(spec),
        )
        async with self._engine.reach() as client:
            try:
                container = await client.containers.create(
                    config, name=self._container_name(spec.name)
                )
            except aiodocker.DockerError as error:
                if error.status != HTTPStatus.CONFLICT:
                    raise await self._refused(spec, error) from error
                return await self._made_by_another(spec)
            found: dict[str, Any] = await container.show()
        return found

    async def _ensure_volume(self, spec: InstanceSpec) -> str:
        return await self._space.ensure_volume(
            spec.server_id, data_bytes=spec.isolation.data_bytes
        )

    async def _made_by_another(self, spec: InstanceSpec) -> dict[str, Any]:
        """Return the container that another call of the same job is just making; its name is taken before it shows."""
        for _ in range(TWIN_TRIES):
            if found := await self._inspect(spec.name):
                return found
            await asyncio.sleep(TWIN_PAUSE_S)
        raise StartFailedError(
            f"The engine says that {spec.name} exists, and does not show it.",
            hint="Start it again.",
        )

    async def _start_container(self, spec: InstanceSpec, found: dict[str, Any]) -> None:
        async with self._engine.reach() as client:
            try:
                await client.containers.container(found["Id"]).start()
            except aiodocker.DockerError as error:
                raise await self._refused(spec, error) from error

    async def _refused(
        self, spec: InstanceSpec, error: aiodocker.DockerError
    ) -> DomainError:
        """Clear away what the refused start left and return the refusal."""
        await self.remove(spec.name)
        image: dict[str, Any] = {}
        async with self._engine.reach() as client:
            with contextlib.suppress(aiodocker.DockerError):
                image = await client.images.inspect(spec.image)
        if not await self.instances(spec.server_id):
            await self._space.remove_network(spec.server_id)
        said = words(error)
        return no_room(said) or StartFailedError(
            inspection.refusal(said, image, spec.arguments)
        )

    async def stop(self, name: str, *, grace_s: float = 10) -> None:
        """End the instance."""
        async with self._engine.reach(timeout_s=CONTROL_TIMEOUT_S + grace_s) as client:
            try:
                await client.containers.container(self._container_name(name)).stop(
                    t=math.ceil(grace_s)
                )
            except aiodocker.DockerError as error:
                if not is_missing(error):
                    raise
            await stop_all(await sessions_of(client, self._owner, instance=name))

    async def remove(self, name: str) -> None:
        """Remove the instance and the containers of its sessions."""
        async with self._engine.reach() as client:
            await _delete(client.containers.container(self._container_name(name)))
            for container in await sessions_of(client, self._owner, instance=name):
                await _delete(container)
        await self._secrets.remove(name)

    async def remove_server(self, server_id: int) -> None:
        """Remove every instance, the network, the volume and the built images of a server."""
        async with self._engine.reach() as client:
            for container in await self._list(client, server_id):
                await _delete(container)
                await self._secrets.remove(container["Labels"][labels.INSTANCE])
            # A hub that was killed right after a build may not have written down what it built.
            wanted = [f"{labels.OWNER}={self._owner}", f"{labels.SERVER}={server_id}"]
            built = await client.images.list(filters={"label": wanted})
        for image in built:
            await self.remove_image(image["Id"])
        await self._space.remove_network(server_id)
        await self._space.remove_volume(server_id)
        log.info("server_space_removed", server_id=server_id)

    async def image_id(self, reference: str) -> str:
        """Return the id of an image; empty if there is none."""
        async with self._engine.reach() as client:
            try:
                found = await client.images.inspect(reference)
            except aiodocker.DockerError as error:
                if is_missing(error):
                    return ""
                raise
        return str(found["Id"])

    async def remove_image(self, reference: str) -> None:
        """Remove our tags of an image, and the image when that leaves it without any.

        An image that the box had before it was hosted keeps its own tags and stays.
        """
        async with self._engine.reach() as client:
            try:
                found = await client.images.inspect(reference)
                tags = found.get("RepoTags") or []
                for tag in tags:
                    if labels.is_own_tag(tag, self._owner):
                        await client.images.delete(tag)
                own = (found["Config"].get("Labels") or {}).get(
                    labels.OWNER
                ) == self._owner
                if own and not tags:
                    await client.images.delete(found["Id"])
            except aiodocker.DockerError as error:
                # In use, or gone in the meantime.
                if error.status not in {HTTPStatus.CONFLICT, HTTPStatus.NOT_FOUND}:
                    raise

    async def _list(self, client: aiodocker.Docker, server_id: int | None) -> list[Any]:
        wanted = [f"{labels.OWNER}={self._owner}", labels.INSTANCE]
        if server_id is not None:
            wanted.append(f"{labels.SERVER}={server_id}")
        return await client.containers.list(
            all=True, filters=json.dumps({"label": wanted})
        )

    async def instances(self, server_id: int | None = None) -> list[Instance]:
        """Return all instances of this appliance, or of one server."""
        slots = asyncio.Semaphore(INSPECTIONS)

        async def look(container: Any) -> dict[str, Any] | None:
            async with slots:
                return await _show(container)

        async with self._engine.reach() as client:
            listed = await self._list(client, server_id)
            own = [item for item in listed if not is_sessions(item)]
            found = await asyncio.gather(*map(look, own))
        return [self._instance(item) for item in found if item]

    def _instance(self, found: dict[str, Any]) -> Instance:
        seen = inspection.instance(found)
        if seen.state is not InstanceState.EXITED:
            return seen
        is_taken = self._absences.took(seen.container_id)
        return replace(seen, ended_with_engine=is_taken)

    async def sessions(self, server_id: int) -> list[SessionContainer]:
        """Return the containers that sessions of one server have for themselves."""
        async with self._engine.reach() as client:
            found = await sessions_of(client, self._owner, server=str(server_id))
        return sorted(map(session, found), key=lambda item: item.created_at)

    async def tail(self, name: str, *, lines: int = 50) -> list[LogLine]:
        """Return the last lines that the instance printed, oldest first."""
        async with aclosing(self._logs(name, lines=lines, follow=False)) as found:
            return [line async for line in found]

    async def follow(self, name: str, *, lines: int = 200) -> AsyncGenerator[LogLine]:
        """Yield the last lines and then new ones until the instance ends."""
        async with aclosing(self._logs(name, lines=lines, follow=True)) as found:
            async for line in found:
                yield line

    async def _logs(
        self, name: str, *, lines: int, follow: bool
    ) -> AsyncGenerator[LogLine]:
        params = {
            "stdout": "1",
            "stderr": "1",
            "timestamps": "1",
            "tail": str(lines),
            "follow": str(int(follow)),
        }
        reader = FrameReader()
        try:
            hide = await self._hiding_of(name)
            async with self._engine.stream(
                f"containers/{self._container_name(name)}/logs", params
            ) as body:
                async for chunk in body.iter_any():
                    for line in reader.feed(chunk):
                        yield replace(line, text=hide(line.text))
        except aiodocker.DockerError as error:
            if not is_missing(error):
                raise

    async def _hiding_of(self, name: str) -> Callable[[str], str]:
        """Return what hides an instance's secrets in what it prints."""
        found = await self._inspect(name)
        if found is None:
            return str
        return await self._hiding(inspection.instance(found).server_id)

    async def events(self) -> AsyncGenerator[ExecutorEvent]:
        """Yield what happens to instances, for ever; every connection begins with ``reconnected``."""
        while True:
            try:
                async with aclosing(self._events_once()) as found:
                    async for event in found:
                        yield event
            except (EngineUnavailableError, aiodocker.DockerError) as error:
                log.warning("engine_events_lost", reason=str(error))
            await asyncio.sleep(RECONNECT_AFTER_S)

    async def _events_once(self) -> AsyncGenerator[ExecutorEvent]:
        wanted = {
            "type": ["container"],
            "event": _EVENTS,
            "label": [f"{labels.OWNER}={self._owner}", labels.INSTANCE],
        }
        async with self._engine.stream(
            "events", {"filters": json.dumps(wanted)}
        ) as body:
            # The engine has answered, so from here on nothing is missed.
            states = await self.states()
            self._absences.heard(
                [name for name, (_, at) in states.items() if at is InstanceState.EXITED]
            )
            try:
                yield ExecutorEvent(None, None, "reconnected")
                async for line in body:
                    event = json.loads(line)
                    if labels.SESSION not in event["Actor"]["Attributes"]:
                        yield inspection.event(event)
            finally:
                self._absences.lost()


def _check(spec: InstanceSpec, facts: EngineFacts) -> None:
    """Refuse what this engine cannot give.

    Raises:
        StartFailedError: Says what, and what to do.
    """
    missing = unmet(spec.isolation, tiers=facts.tiers, capabilities=facts.capabilities)
    for reason in missing.values():
        raise StartFailedError(f"{reason[0].upper()}{reason[1:]}.")


async def _show(container: Any) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = await container.show()
    except aiodocker.DockerError as error:
        if is_missing(error):
            return None
        raise
    return found


async def _delete(container: Any) -> None:
    """Remove a container with its anonymous volumes; one that is being removed already is waited for."""
    try:
        await container.delete(force=True, v=True)
    except aiodocker.DockerError as error:
        if error.status == HTTPStatus.CONFLICT:
            with contextlib.suppress(aiodocker.DockerError):
                await container.wait(condition="removed")
        elif not is_missing(error):
            raise
