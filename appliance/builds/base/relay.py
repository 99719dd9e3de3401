"""Runs beside a server that speaks HTTP, and makes one that listens on loopback only reachable from outside its container.

Many servers bind 127.0.0.1 by default, which is right on a laptop and useless in a
container: a published port arrives at the container's own address. As soon as somebody
listens on the port, this either ends (it is reachable as it is) or listens on the
container's address and passes bytes on. The published port is on the box's loopback, so
nothing more is opened.
"""

import contextlib
import socket
import sys
import time

PATIENCE_S = 300
PAUSE_S = 0.1
LISTEN = "0A"
LOOPBACK = {"0100007F", "00000000000000000000000001000000"}


def listeners(port: int) -> set[str]:
    """Return the addresses, as the kernel writes them, on which somebody listens."""
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError), open(table) as lines:  # noqa: PTH123 - starts faster without pathlib
            for line in lines:
                fields = line.split()
                address, _, number = fields[1].partition(":")
                if fields[3] == LISTEN and int(number, 16) == port:
                    found.add(address)
    return found


def wait(port: int) -> set[str]:
    """Return who listens, as soon as anybody does."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        if found := listeners(port):
            return found
        time.sleep(PAUSE_S)
    return set()


def relay(port: int, *, inner: str) -> None:
    """Pass connections on, for ever."""
    import asyncio  # noqa: PLC0415 - most servers never need it

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(65536):
                writer.write(chunk)
                await writer.drain()
            writer.write_eof()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            upstream, downstream = await asyncio.open_connection(inner, port)
            with contextlib.closing(downstream):
                await asyncio.gather(pump(reader, downstream), pump(upstream, writer))
        writer.close()

    async def main() -> None:
        own = socket.gethostbyname(socket.gethostname())
        server = await asyncio.start_server(serve, own, port)
        print(
            f"mcp-host: the server listens on loopback only; passing connections on from {own}:{port}",
            file=sys.stderr,
        )
        await server.serve_forever()

    asyncio.run(main())


def run(port: int) -> None:
    """Wait, look, and relay if that is needed."""
    found = wait(port)
    if found and found <= LOOPBACK:
        relay(port, inner="127.0.0.1" if "0100007F" in found else "::1")


if __name__ == "__main__":
    run(int(sys.argv[1]))
