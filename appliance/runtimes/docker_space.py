"""What a server's containers live in: a network of their own and a volume, both kept while deployments come and go."""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Collection
from dataclasses import replace
from http import HTTPStatus
from itertools import islice
from pathlib import Path
from typing import Any

import aiodocker
import aiodocker.networks
import aiodocker.volumes

from appliance.core import labels
from appliance.infra.archive import directory_entry, has_file, read_file
from appliance.infra.docker import Engine, is_missing, words
from appliance.runtimes.container import DATA, DEFAULT_UID, ImageFacts, data_mount
from appliance.runtimes.data_disks import DataDisks
from appliance.runtimes.errors import (
    ImageMissingError,
    StartFailedError,
    no_room,
)
from appliance.runtimes.isolation import DataUse
from appliance.runtimes.networks import network_config, network_name
from appliance.runtimes.secret_entry import IMAGE_SHELL, ImageProgram
from appliance.runtimes.subnets import free_subnets, routed
from appliance.runtimes.users import image_account

#: Where the kernel tells its IPv4 routes; what is routed already must be nobody's subnet.
ROUTES = Path("/proc/net/route")
#: Subnets that are tried before giving up, when networks that Docker does not list are
#: in the way.
TRIES = 32


class Space:
    """Networks, volumes and image facts on one engine."""

    def __init__(
        self,
        engine: Engine,
        *,
        owner: str,
        subnet_pool: str,
        disks: DataDisks | None = None,
    ) -> None:
        """Serve one installation on one engine.

        Args:
            engine: The door to it.
            owner: The installation's id.
            subnet_pool: Range that networks are cut from.
            disks: Makes volumes that have a size; ``None``: volumes are directories.
        """
        self._engine = engine
        self._disks = disks
        self._owner = owner
        self._pool = subnet_pool
        # Choosing a subnet and taking it are two calls; between them nobody else here
        # may choose.
        self._choosing = asyncio.Lock()

    def name(self, server_id: int) -> str:
        """Return what the volume of a server is called."""
        return f"mcp-{self._owner}-{server_id}"

    def _labels(self, server_id: int) -> dict[str, str]:
        return {labels.OWNER: self._owner, labels.SERVER: str(server_id)}

    async def ensure_network(self, server_id: int) -> str:
        """Return the name of the server's network, made if it is not there.

        Raises:
            StartFailedError: No subnet is free.
        """
        name = network_name(self._owner, server_id)
        async with self._choosing, self._engine.reach() as client:
            networks = await client.networks.list()
            if any(item["Name"] == self.name(server_id) for item in networks):
                await self._remove_former_network(client, server_id)
            if any(item["Name"] == name for item in networks):
                return name
            taken = [
                part["Subnet"]
                for item in networks
                for part in (item.get("IPAM") or {}).get("Config") or []
                if part.get("Subnet")
            ]
            taken += routed(await asyncio.to_thread(ROUTES.read_text))
            for subnet in islice(free_subnets(self._pool, taken), TRIES):
                if await self._create_network(client, server_id, subnet):
                    return name
        raise StartFailedError(
            f"No free subnet is left for the server's network in {self._pool}.",
            hint="Give SERVER_SUBNET_POOL a larger range that nothing else on this box uses.",
        )

    async def _create_network(
        self, client: aiodocker.Docker, server_id: int, subnet: str
    ) -> bool:
        config = network_config(
            self._owner, server_id, subnet=subnet, labels=self._labels(server_id)
        )
        try:
            await client.networks.create(config)
        except aiodocker.DockerError as error:
            if error.status == HTTPStatus.CONFLICT:
                return True
            if "overlap" in error.message.lower():
                return False
            said = words(error)
            raise no_room(said) or StartFailedError(
                f"The engine refused to make the server's network: {said}."
            ) from error
        return True

    async def ensure_volume(
        self, server_id: int, *, data_bytes: int | None = None
    ) -> str:
        """Return the name of the server's volume, made if it is not there, and ready to be mounted.

        Args:
            server_id: Whose.
            data_bytes: What may lie in it; ``None``: as it is, or by default.

        Raises:
            BoxFullError: The box is too full.
        """
        name = self.name(server_id)
        found = await self._volume(name)
        options = None
        if self._disks and await self._may_have_disk(found):
            options = await self._disks.ensure(name, data_bytes)
        if found is None:
            config: dict[str, Any] = {"Name": name, "Labels": self._labels(server_id)}
            if options:
                config |= {"Driver": "local", "DriverOpts": options}
            await self._create_volume(config)
        return name

    async def _create_volume(self, config: dict[str, Any]) -> None:
        async with self._engine.reach() as client:
            try:
                await client.volumes.create(config)
            except aiodocker.DockerError as error:
                if (full := no_room(words(error))) is not None:
                    raise full from error
                raise

    async def _volume(self, name: str) -> dict[str, Any] | None:
        async with self._engine.reach() as client:
            try:
                return dict(await aiodocker.volumes.DockerVolume(client, name).show())
            except aiodocker.DockerError as error:
                if is_missing(error):
                    return None
                raise

    async def _may_have_disk(self, found: dict[str, Any] | None) -> bool:
        """Tell whether the volume is one with a size, or can become one: one that is a directory stays it."""
        if found is not None:
            return bool((found.get("Options") or {}).get("device"))
        return await self._sees_our_files()

    async def unlimited_because(self) -> str:
        """Return why new volumes have no size that holds; empty: they have."""
        if self._disks is None:
            return "it was turned off"
        if why := await asyncio.to_thread(self._disks.unavailable):
            return why
        return "" if await self._sees_our_files() else "the engine is on another box"

    async def uses(self, server_ids: Collection[int]) -> dict[int, DataUse]:
        """Return how full the volumes of these servers are, but of those that have no size or are not used."""
        if self._disks is None:
            return {}
        names = {self.name(server_id): server_id for server_id in server_ids}
        found = await asyncio.to_thread(self._disks.uses, names)
        return {names[name]: use for name, use in found.items()}

    async def sizes(self) -> dict[int, int]:
        """Return what the volume of each server takes of the box. The engine walks through those that are directories."""
        disks = {
            server: await self._disk_size(server) for server in await self._servers()
        }
        sizes = {server: size for server, size in disks.items() if size is not None}
        if len(sizes) < len(disks):
            walked = await self._walked()
            sizes |= {server: walked.get(server, 0) for server in disks.keys() - sizes}
        return sizes

    async def _servers(self) -> list[int]:
        """Return whose volumes there are."""
        wanted = {"label": [f"{labels.OWNER}={self._owner}", labels.SERVER]}
        async with self._engine.reach() as client:
            listed = await client.volumes.list(filters=wanted)
        marks = [volume["Labels"][labels.SERVER] for volume in listed["Volumes"] or []]
        return [int(server) for server in marks if server.isdecimal()]

    async def _walked(self) -> dict[int, int]:
        """Return the bytes of volumes that are directories; the engine leaves out those with devices."""
        async with self._engine.stream("system/df", {"type": "volume"}) as body:
            found = json.loads(await body.read())
        sizes = {}
        for volume in found.get("Volumes") or []:
            marks = volume.get("Labels") or {}
            server = marks.get(labels.SERVER, "")
            if marks.get(labels.OWNER) == self._owner and server.isdecimal():
                said = int((volume.get("UsageData") or {}).get("Size", 0))
                # -1: the engine could not look.
                sizes[int(server)] = max(0, said)
        return sizes

    async def _disk_size(self, server_id: int) -> int | None:
        if self._disks is None:
            return None
        return await asyncio.to_thread(self._disks.taken, self.name(server_id))

    async def _sees_our_files(self) -> bool:
        async with self._engine.reach() as client:
            root = (await client.system.info()).get("DockerRootDir", "")
        # Where we see the engine's own directory, it sees our files and devices: neither
        # of us is in a container, and it is on this box.
        return await asyncio.to_thread(Path(root or "/nowhere").is_dir)

    async def remove_network(self, server_id: int) -> None:
        """Remove the server's network; it may be gone already."""
        async with self._engine.reach() as client:
            await self._remove_former_network(client, server_id)
            name = network_name(self._owner, server_id)
            await _unless_missing(
                aiodocker.networks.DockerNetwork(client, name).delete()
            )

    async def _remove_former_network(
        self, client: aiodocker.Docker, server_id: int
    ) -> None:
        """Remove the network that an earlier version made, unless a container of that version still uses it."""
        former = aiodocker.networks.DockerNetwork(client, self.name(server_id))
        with contextlib.suppress(aiodocker.DockerError):
            await former.delete()

    async def remove_volume(self, server_id: int) -> None:
        """Remove the server's volume and what is on it; it may be gone already."""
        wanted = [f"{labels.OWNER}={self._owner}", f"{labels.SERVER}={server_id}"]
        filters = json.dumps({"label": [*wanted, labels.HELPER]})
        async with self._engine.reach() as client:
            # Somebody may just look into it.
            for helper in await client.containers.list(all=True, filters=filters):
                await _remove_helper(helper)
            await _unless_missing(
                aiodocker.volumes.DockerVolume(client, self.name(server_id)).delete()
            )
        if self._disks:
            await self._disks.remove(self.name(server_id))

    async def image_facts(
        self, reference: str, volume: str, *, may_be_root: bool = False
    ) -> ImageFacts:
        """Return what matters of an image, and make its user the owner of ``volume``.

        Args:
            reference: Which image.
            volume: The server's.
            may_be_root: Whether a user of the image's that is root stays so.

        Raises:
            ImageMissingError: It is not on this box.
        """
        async with self._engine.reach() as client:
            try:
                found = await client.images.inspect(reference)
            except aiodocker.DockerError as error:
                if is_missing(error):
                    raise ImageMissingError(
                        f"The image {reference} is not on this box.",
                        hint="Redeploy the server.",
                    ) from error
                raise
        config = found.get("Config") or {}
        variables = dict(item.partition("=")[::2] for item in config.get("Env") or [])
        program = ImageProgram(
            tuple(config.get("Entrypoint") or ()), tuple(config.get("Cmd") or ())
        )
        if labels.BASE in (config.get("Labels") or {}):
            # Our own base has /data with the right owner, which the engine copies into
            # an empty volume.
            return ImageFacts(
                found["Id"],
                DEFAULT_UID,
                DEFAULT_UID,
                has_own_user=False,
                volume_is_ready=False,
                environment=variables,
                program=program,
            )
        account, has_shell = await self._prepare(
            found["Id"], str(config.get("User") or ""), volume, may_be_root=may_be_root
        )
        uid, gid = account or (DEFAULT_UID, DEFAULT_UID)
        return ImageFacts(
            found["Id"],
            uid,
            gid,
            has_own_user=account is not None,
            volume_is_ready=True,
            environment=variables,
            program=replace(program, has_shell=has_shell),
        )

    async def _prepare(
        self, image_id: str, user: str, volume: str, *, may_be_root: bool
    ) -> tuple[tuple[int, int] | None, bool]:
        """Find out who a strange image runs as and give that user the volume, without running anything of it.

        Return (uid, gid), and whether it has a shell.

        A container is made of the image with the volume in it and never started: the
        engine reads files from it, and unpacks a tar with one directory over ``/data``,
        which changes its owner.
        """
        config: dict[str, Any] = {
            "Image": image_id,
            "Cmd": ["never-started"],
            "Labels": {labels.OWNER: self._owner, labels.HELPER: "volume"},
            "HostConfig": {
                "NetworkMode": "none",
                "Mounts": [data_mount(volume, is_ready=False)],
            },
        }
        async with self._engine.reach() as client:
            helper = await client.containers.create(config)
            try:
                passwd = await read_file(self._engine, helper.id, "/etc/passwd") or b""
                account = image_account(
                    user, passwd.decode(errors="replace"), may_be_root=may_be_root
                )
                uid, gid = account or (DEFAULT_UID, DEFAULT_UID)
                has_shell = await has_file(self._engine, helper.id, IMAGE_SHELL)
                await helper.put_archive(
                    "/", directory_entry(DATA.strip("/"), uid=uid, gid=gid, mode=0o750)
                )
            finally:
                with contextlib.suppress(aiodocker.DockerError):
                    await asyncio.shield(helper.delete(force=True))
        return account, has_shell


async def _remove_helper(helper: Any) -> None:
    """Remove a helper; one that ends just now is removed by the engine, and waited for."""
    try:
        await helper.delete(force=True)
    except aiodocker.DockerError as error:
        if error.status == HTTPStatus.CONFLICT:
            await _unless_missing(helper.wait(condition="removed"))
        elif not is_missing(error):
            raise


async def _unless_missing(removal: Awaitable[object]) -> None:
    try:
        await removal
    except aiodocker.DockerError as error:
        if not is_missing(error):
            raise
