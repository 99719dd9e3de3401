"""What is kept of one call."""

from collections.abc import Callable
from typing import Protocol

import msgspec


class Invocation(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One call as a worker saw it, from the request's first byte to the answer's last.

    An array on the wire and in the spool: fields are added at the end, never moved.
    """

    #: Seconds since the epoch.
    started_at: float
    duration_s: float
    server_id: int
    #: 0: not through a bundle.
    bundle_id: int
    #: 0: nothing ran.
    deployment_id: int
    #: ``server:12``, ``user:5``, ``bundle:3`` or ``hub``.
    principal: str
    #: The JSON-RPC method, or the HTTP method where there is none.
    method: str
    #: Tool or prompt name, or resource URI; empty for other methods.
    target: str
    http_status: int
    #: Empty when it went well, else a stable word: ``tool_error``, ``rpc_error``, or the ``code`` of a gateway error.
    error_class: str
    #: Of the JSON-RPC error; 0: none.
    rpc_code: int
    request_bytes: int
    response_bytes: int
    #: W3C trace context, as the client gave it; empty: none.
    traceparent: str
    #: The first bytes of either; empty where the server's bodies are not kept.
    request: bytes = b""
    response: bytes = b""


class Recorder(Protocol):
    """Takes invocations in; never waits and never fails, whatever becomes of the database."""

    def add(self, invocation: Invocation) -> None:
        """Take one in."""
        ...


class NoRecorder:
    """Keeps nothing.

    Args:
        taken: Told of every invocation, as ``Ring`` tells it.
    """

    def __init__(
        self, taken: Callable[[list[Invocation]], None] = lambda _: None
    ) -> None:
        """Have nothing to prepare."""
        self._taken = taken

    def add(self, invocation: Invocation) -> None:
        """Tell of it and forget it."""
        self._taken([invocation])
