"""Whether a remote server's address is one that may be called on others' behalf."""

import asyncio
import socket
from urllib.parse import urlsplit

from appliance.builds.errors import NetworkUnreachableError, RemoteRefusedError
from appliance.sources.reach import is_private, names_private


async def check_remote(url: str, *, allow_private: bool) -> None:
    """Refuse a URL that means this box or its neighbours, by its text or by what its name resolves to.

    Raises:
        RemoteRefusedError: It does, and REMOTE_ALLOW_PRIVATE does not allow it.
        NetworkUnreachableError: The name does not resolve.
    """
    if allow_private:
        return
    host = urlsplit(url).hostname or ""
    if names_private(url):
        raise _refused(host)
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            host, None, type=socket.SOCK_STREAM
        )
    except OSError as error:
        raise NetworkUnreachableError(
            f"The name {host} does not resolve: {error.strerror or error}.",
            hint="Check source.remote_url.",
        ) from error
    if any(is_private(str(item[4][0])) for item in found):
        raise _refused(host)


def _refused(host: str) -> RemoteRefusedError:
    return RemoteRefusedError(
        f"{host} is a loopback, link-local or private address.",
        hint="If calling it from here is meant, set REMOTE_ALLOW_PRIVATE=true.",
    )
