"""Reads what is allowed from Postgres, and writes what was tried, in a thread of its own: Postgres may be slow or away."""

import contextlib
import json
import os
import select
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import psycopg2
import psycopg2.extensions

from appliance.egress.policies import Policy, policy_of
from appliance.egress.records import Attempt, Records, Tally

CHANNEL = "egress"
RETRY_S = 1.0
#: Between two signs of life, and before what was tried is written.
BEAT_S = 30.0
GATHER_S = 0.3
_RULES = "SELECT coalesce(json_agg(r), '[]')::text FROM egress_rules r"
_BEAT = """
INSERT INTO egress_state (id, enforced, problem, at) VALUES (1, %s, %s, now())
ON CONFLICT (id) DO UPDATE SET enforced = excluded.enforced, problem = excluded.problem, at = excluded.at
"""
_TRIED = """
INSERT INTO egress_attempts AS a
    (server_id, destination, port, protocol, allowed, reason, attempts, bytes_sent, bytes_received, first_at, last_at)
SELECT id, %(destination)s, %(port)s, %(protocol)s, %(allowed)s, %(reason)s,
       %(attempts)s, %(sent)s, %(received)s, %(first)s, %(last)s
FROM servers WHERE id = %(server)s
ON CONFLICT (server_id, allowed, protocol, port, destination) DO UPDATE SET
    attempts = a.attempts + excluded.attempts, bytes_sent = a.bytes_sent + excluded.bytes_sent,
    bytes_received = a.bytes_received + excluded.bytes_received, last_at = excluded.last_at,
    reason = CASE WHEN excluded.reason = '' THEN a.reason ELSE excluded.reason END
RETURNING xmax = 0
"""
_EVENT = "INSERT INTO events (at, kind, server_id, data) VALUES (now(), 'egress.denied', %s, %s)"
_FORGET = "DELETE FROM egress_attempts WHERE last_at < now() - interval '30 days'"

Rules = dict[int, Policy]


class Ledger(threading.Thread):
    """Talks to Postgres.

    Args:
        took: Called in this thread with the policies whenever they were read.
        records: What is written; only ``take`` and ``put_back`` are called here.
    """

    def __init__(
        self,
        arguments: Mapping[str, str],
        records: Records,
        took: Callable[[Rules], None],
    ) -> None:
        """Connect to nothing yet."""
        super().__init__(daemon=True)
        self._arguments, self._records, self._took = dict(arguments), records, took
        self._out, self._in = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._state = (False, "The egress process is starting.")
        self._has_applied = False
        self._is_stopping = False

    def applied(self) -> None:
        """Have it written that what was read counts now; whoever changed a policy waits for that. From any thread."""
        self._has_applied = True
        self.wake()

    def tell(self, *, enforced: bool, problem: str) -> None:
        """Have the state written; from any thread."""
        if self._state != (enforced, problem):
            self._state = (enforced, problem)
            self.wake()

    def wake(self) -> None:
        """Have what was tried written soon; from any thread."""
        with contextlib.suppress(BlockingIOError):
            os.write(self._in, b"\0")

    def stop(self) -> None:
        """Write what is left, and end. Blocking, a few seconds at most."""
        self._is_stopping = True
        self.wake()
        self.join(3)

    def run(self) -> None:
        """Serve until stopped."""
        while not self._is_stopping:
            try:
                connection = psycopg2.connect(
                    psycopg2.extensions.make_dsn(**self._arguments)
                )
                with contextlib.closing(connection):
                    connection.autocommit = True
                    self._serve(connection)
            except psycopg2.Error:
                time.sleep(RETRY_S)

    def _serve(self, connection: psycopg2.extensions.connection) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"LISTEN {CHANNEL}")
            cursor.execute(_FORGET)
        self._read(connection)
        beaten = 0.0
        written: tuple[bool, str] | None = None
        while not self._is_stopping:
            self._write(connection)
            is_due = time.monotonic() - beaten >= BEAT_S
            if is_due or self._has_applied or written != self._state:
                self._has_applied = False
                beaten, written = time.monotonic(), self._state
                with connection.cursor() as cursor:
                    cursor.execute(_BEAT, written)
            select.select([connection.fileno(), self._out], [], [], BEAT_S)
            if self._drained() and not self._has_applied:
                time.sleep(GATHER_S)
            connection.poll()
            if connection.notifies:
                connection.notifies.clear()
                self._read(connection)
        self._write(connection)

    def _drained(self) -> bool:
        with contextlib.suppress(BlockingIOError):
            return bool(os.read(self._out, 4096)) and not self._is_stopping
        return False

    def _read(self, connection: psycopg2.extensions.connection) -> None:
        with connection.cursor() as cursor:
            cursor.execute(_RULES)
            rows = json.loads(cursor.fetchone()[0])  # type: ignore[index]
        self._took(rules_of(rows))

    def _write(self, connection: psycopg2.extensions.connection) -> None:
        tallies = list(self._records.take().items())
        try:
            while tallies:
                with connection.cursor() as cursor:
                    _write_one(cursor, *tallies[-1])
                tallies.pop()
        finally:
            self._records.put_back(tallies)


def rules_of(rows: list[dict[str, Any]]) -> Rules:
    """Return rows of ``egress_rules`` by server."""
    return {int(row["server_id"]): policy_of(row) for row in rows}


def _write_one(
    cursor: psycopg2.extensions.cursor, attempt: Attempt, tally: Tally
) -> None:
    values = {
        "server": attempt.server,
        "destination": attempt.destination,
        "port": attempt.port,
        "protocol": attempt.protocol,
        "allowed": attempt.allowed,
        "reason": tally.reason,
        "attempts": tally.attempts,
        "sent": tally.sent,
        "received": tally.received,
        "first": tally.first,
        "last": tally.last,
    }
    cursor.execute(_TRIED, values)
    is_new = cursor.fetchone()
    if is_new and is_new[0] and not attempt.allowed:
        told = {
            key: values[key] for key in ("destination", "port", "protocol", "reason")
        }
        cursor.execute(_EVENT, (attempt.server, json.dumps(told)))
