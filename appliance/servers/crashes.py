"""When a server that crashed starts again, and when it is left alone. Pure."""

from datetime import datetime, timedelta

from appliance.servers.model import Server

#: Crashes after which a server is left alone, and the time within which they count.
MAX_CRASHES = 5
CRASH_WINDOW = timedelta(minutes=5)
#: The longest pause before a crashed server is started again.
MAX_BACKOFF = timedelta(seconds=60)


def has_given_up(server: Server) -> bool:
    """Return whether the server crashed too often to be started again by itself."""
    return server.crashes >= MAX_CRASHES


def count_crash(server: Server, now: datetime) -> int:
    """Return the number of crashes within the window, this one included."""
    if server.last_crash_at is None:
        return 1
    # One in the future says only that the wall clock was put back since.
    counts = server.last_crash_at <= now <= server.last_crash_at + CRASH_WINDOW
    return server.crashes + 1 if counts else 1


def backoff(crashes: int) -> timedelta:
    """Return the pause after the ``crashes``-th crash: 1, 2, 4 … 60 seconds."""
    doublings = min(max(0, crashes - 1), 6)
    return min(timedelta(seconds=2**doublings), MAX_BACKOFF)


def start_again_at(server: Server, now: datetime) -> datetime | None:
    """Return when a crashed server may start again; ``None``: at once.

    A crash that lies in the future says only that the wall clock was put back since; nobody waits for it to come by again.
    """
    if not server.crashes or server.last_crash_at is None:
        return None
    if server.last_crash_at > now:
        return None
    return server.last_crash_at + backoff(server.crashes)
