"""What the hub builds of this room."""

from collections.abc import Awaitable, Callable

from appliance.files.helper_image import HelperImage
from appliance.files.service import FileService, Find
from appliance.infra.database import Database
from appliance.runtimes.docker import DockerExecutor
from appliance.settings import Settings


class Files:
    """The files of a hub's servers.

    Args:
        database: The trail is in it.
        settings: How much may lie in a server's ``/data``.
        executor: Whose volumes they are.
        base_image: Returns an image with Python in it, after making it if it is not there.
        seen: Finds a server that a principal may see.
        changed: Finds a server that a principal may change.
        filled: The same, where something is brought.
    """

    def __init__(  # noqa: PLR0913 - each is what the room does not know
        self,
        database: Database,
        settings: Settings,
        executor: DockerExecutor,
        *,
        base_image: Callable[[], Awaitable[str]],
        seen: Find,
        changed: Find,
        filled: Find,
    ) -> None:
        """Build the room; nothing is opened yet."""
        self._image = HelperImage(base_image)
        self._volumes = executor.volumes(self._image)
        self.service = FileService(
            database,
            self._volumes,
            seen=seen,
            changed=changed,
            filled=filled,
            quota_bytes=settings.files_quota,
            upload_bytes=settings.files_upload_max_bytes,
        )

    async def close(self) -> None:
        """End every look."""
        await self._image.close()
        await self._volumes.close()
