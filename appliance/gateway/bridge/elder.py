"""The bridge before this one, while it ends its last calls: what clients answer to its servers is passed on to it."""

import contextlib
import os
from collections.abc import Iterable
from http import HTTPStatus
from pathlib import Path

from appliance.gateway.http import messages as http
from appliance.gateway.http.client import Origin

#: Asked of a bridge that another has relieved: take answers to what your servers asked.
ANSWERS_PATH = "/answers"
_PASSED_ON = (http.PRINCIPAL_HEADER, http.SESSION_HEADER, http.CLIENT_HEADER)
_IDLE_S = 1.0


class Elder:
    """The way to it.

    Args:
        path: Of its socket.
    """

    def __init__(self, path: Path) -> None:
        """Connect to nothing yet."""
        self._origin = Origin(str(path), "bridge", idle_s=_IDLE_S)

    async def takes(self, request: http.Request, body: bytes) -> bool:
        """Pass on what a client answers; return whether one of its servers had asked for that."""
        headers: Iterable[tuple[str, str]] = [
            (name, request.headers[name])
            for name in _PASSED_ON
            if name in request.headers
        ]
        try:
            async with await self._origin.request(
                "POST", ANSWERS_PATH, headers, body
            ) as answer:
                return answer.head.status == HTTPStatus.ACCEPTED
        except ConnectionError:
            return False


def keep_elder(path: Path) -> Elder | None:
    """Keep the socket at ``path``, which is about to be replaced, under another name; ``None``: there is none. Blocking."""
    kept = path.with_name(f"{path.stem}-elder{path.suffix}")
    kept.unlink(missing_ok=True)
    with contextlib.suppress(FileNotFoundError):
        os.link(path, kept)
        return Elder(kept)
    return None
