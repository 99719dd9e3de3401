"""The port that the workers share, or the sentence that says why it cannot be had."""

import errno
import socket
import time

from appliance.gateway.config import GatewayConfig

BACKLOG = 1024
#: A predecessor's workers close their listener when it dies, but not in the same instant.
BIND_WITHIN_S = 3.0


def bind(config: GatewayConfig) -> socket.socket:
    """Return the workers' listener.

    Raises:
        OSError: It cannot be had; ``problem`` says it in words.
    """
    deadline = time.monotonic() + BIND_WITHIN_S
    while True:
        try:
            return _tcp_listener(config.host, config.port)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def problem(config: GatewayConfig, error: OSError) -> str:
    """Return one line on why there is no listener, which settings decide it and what to do."""
    place = f"port {config.port} on {config.host}"
    settings = f"MCP_GATEWAY_URL (now {config.gateway_url}) sets the port and GATEWAY_BIND_ADDRESS the address."
    if error.errno == errno.EADDRINUSE:
        todo = "Stop that program, or choose another port."
        return f"The gateway cannot listen: {place} is in use by another program. {todo} {settings}"
    if error.errno == errno.EACCES:
        return f"The gateway may not listen on {place}: ports below 1024 need privileges. Choose another port. {settings}"
    return f"The gateway cannot listen on {place}: {error.strerror}. {settings}"


def _tcp_listener(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    listener.setblocking(False)  # noqa: FBT003 - the library's own signature
    return listener
