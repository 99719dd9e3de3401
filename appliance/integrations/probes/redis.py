"""Signs in to Redis and says PING."""

import asyncio

from appliance.integrations.errors import ProbeFailedError
from appliance.integrations.probes import Asked
from appliance.integrations.probes.lines import connected

_MAX_INFO = 64 * 1024


async def probe(asked: Asked) -> str:
    """Return which Redis answered.

    Raises:
        ProbeFailedError: It does not let us in, or is none.
    """
    settings, password = asked.settings, asked.secrets.get("password", "")
    async with connected(asked, tls=settings["tls"]) as (reader, writer):
        if password:
            who = [settings["username"]] if settings["username"] else []
            await _ask(reader, writer, "AUTH", *who, password)
        if settings["database"]:
            await _ask(reader, writer, "SELECT", str(settings["database"]))
        answer = await _ask(reader, writer, "PING")
        if answer != "PONG":
            raise _no_redis()
        return f"Redis {await _version(reader, writer)} answered PING.".replace("  ", " ")  # fmt: skip


async def _version(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
    """Return the version; empty if we may not know it."""
    try:
        info = await _ask(reader, writer, "INFO", "server")
    except ProbeFailedError:
        return ""
    lines = (line.partition(":") for line in info.splitlines())
    return next((value for name, _, value in lines if name == "redis_version"), "")


async def _ask(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *words: str
) -> str:
    """Send one command and return its answer."""
    raw = [word.encode() for word in words]
    parts = b"".join(b"$%d\r\n%s\r\n" % (len(item), item) for item in raw)
    writer.write(b"*%d\r\n%s" % (len(raw), parts))
    try:
        head = (await reader.readline()).decode(errors="replace").rstrip("\r\n")
        kind, rest = head[:1], head[1:]
        if kind == "-":
            raise _refused(words[0], rest)
        if kind == "$" and rest.isdecimal() and int(rest) <= _MAX_INFO:
            return (await reader.readexactly(int(rest) + 2)).decode(errors="replace")
    except (asyncio.IncompleteReadError, ValueError, OSError) as error:
        raise _no_redis() from error
    if kind != "+":
        raise _no_redis()
    return rest


def _refused(command: str, words: str) -> ProbeFailedError:
    hints = {
        "NOAUTH": "It wants a password.",
        "WRONGPASS": "User or password is wrong.",
        "ERR": "User, password or database is wrong." if command != "PING" else None,
        "NOPERM": "The user may not do this.",
    }
    return ProbeFailedError(
        f"Redis refused {command}: {words[:200]}.",
        hint=hints.get(words.partition(" ")[0]),
    )


def _no_redis() -> ProbeFailedError:
    return ProbeFailedError(
        "What listens there does not answer as Redis does.",
        hint="Is it the right port, and does it want TLS?",
    )
