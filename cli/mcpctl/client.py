"""The hub over HTTP, with the standard library alone."""

import contextlib
import http.client
import json
import os
import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote, urlencode, urlsplit

from mcpctl import __version__
from mcpctl.errors import ApiError, CommandError, UnreachableError

TIMEOUT_S = 60.0
#: Seconds without progress while a file is sent.
UPLOAD_TIMEOUT_S = 900.0
_PIECE = 256 * 1024
#: Items that are asked for at once; the hub gives no more.
PAGE = 200
#: Seconds without a byte, heartbeats included, after which a stream counts as dead.
STREAM_TIMEOUT_S = 45.0
RECONNECT_AFTER_S = 1.0
#: Reconnections in a row without a single event before a stream is given up.
MAX_RECONNECTS = 30
#: Events after which a stream is over; any other end is a hub that stops, or a line that breaks.
LAST_EVENTS = frozenset({"end", "deleted"})


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def json(self) -> Any:
        """Return the body, decoded; ``None`` when there is none."""
        return json.loads(self.body) if self.body else None


@dataclass(frozen=True)
class Event:
    """One event of a stream."""

    id: str
    kind: str
    data: str

    def json(self) -> Any:
        """Return the data, decoded."""
        return json.loads(self.data)


def path_of(*parts: str | int) -> str:
    """Return ``/api/…`` with every part escaped."""
    return "/api/" + "/".join(quote(str(part), safe="") for part in parts)


class Client:
    """Calls one hub with one key."""

    def __init__(self, url: str, api_key: str = "", *, reason: str = "") -> None:
        """Keep the address; nothing is connected yet.

        Args:
            url: Where the hub is.
            api_key: Who asks.
            reason: Why, for the audit trail.

        Raises:
            CommandError: The address is not http or https.
        """
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise CommandError(
                f"{url!r} is not the address of a hub.",
                hint="Give one such as http://127.0.0.1:3000.",
            )
        self.url = url.rstrip("/")
        self._parts = parts
        self._headers = {
            "User-Agent": f"mcpctl/{__version__}",
            "Accept": "application/json",
        }
        if api_key:
            self._headers["Authorization"] = f"Bearer {api_key}"
        if reason:
            self._headers["X-Audit-Reason"] = quote(reason)

    def get(self, path: str, **query: object) -> Any:
        """Return the answer to a reading call; parameters that are ``None`` are left out."""
        given = {name: value for name, value in query.items() if value is not None}
        return self.send("GET", f"{path}?{urlencode(given)}" if given else path).json()

    def get_all(self, path: str, **query: object) -> list[dict[str, Any]]:
        """Return the items of every page of a list."""
        found: list[dict[str, Any]] = []
        cursor: str | None = None
        while True:
            page = self.get(path, **query, cursor=cursor, limit=PAGE)
            found += page["items"]
            cursor = page["next_cursor"]
            if not cursor:
                return found

    def post(self, path: str, body: object = None) -> Any:
        """Return the answer to a writing call."""
        return self.send("POST", path, body).json()

    def put_json(self, path: str, body: object) -> Any:
        """Return the answer to a replacing call."""
        return self.send("PUT", path, body).json()

    def upload(self, path: str, name: str, file: Path) -> Any:
        """Return the answer to a file, sent as a form sends it and read as it is sent.

        Raises:
            CommandError: The file cannot be read.
        """
        boundary = f"mcpctl-{secrets.token_hex(16)}"
        filename = "".join(
            char if char.isalnum() or char in "._+-" else "-" for char in file.name
        )
        head = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="{filename}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        ).encode(errors="replace")
        tail = f"\r\n--{boundary}--\r\n".encode()
        try:
            with file.open("rb") as opened:
                size = os.fstat(opened.fileno()).st_size
                headers = {
                    "Content-Type": f"multipart/form-data; boundary={boundary}",
                    "Content-Length": str(len(head) + size + len(tail)),
                }
                return self._exchange(
                    "POST",
                    path,
                    _pieces(head, opened, tail),
                    headers,
                    timeout_s=UPLOAD_TIMEOUT_S,
                ).json()
        except FileNotFoundError as error:
            raise CommandError(f"There is no file {file}.") from error
        except (IsADirectoryError, PermissionError) as error:
            raise CommandError(f"{file} cannot be read: {error.strerror}.") from error

    def bring(self, path: str, pieces: Iterator[bytes], size: int) -> Any:
        """Return the answer to a file that is sent as it is, piece by piece."""
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Length": str(size),
        }
        return self._exchange(
            "PUT", path, pieces, headers, timeout_s=UPLOAD_TIMEOUT_S
        ).json()

    @contextlib.contextmanager
    def fetch(
        self, path: str, headers: Mapping[str, str]
    ) -> Iterator[http.client.HTTPResponse]:
        """Give a file's answer, to be read as it comes.

        Raises:
            ApiError: The hub refused.
            UnreachableError: No hub answers, or the line broke.
        """
        given = {**self._headers, "Accept": "*/*", **headers}
        with (
            contextlib.closing(self._connection(UPLOAD_TIMEOUT_S)) as connection,
            self._translated(),
        ):
            connection.request("GET", self._parts.path.rstrip("/") + path, None, given)
            response = connection.getresponse()
            if response.status >= http.client.BAD_REQUEST:
                answer = Answer(response.status, response.headers, response.read())
                raise ApiError(answer.status, _problem(answer))
            yield response

    def delete(self, path: str) -> Any:
        """Return the answer to a removing call."""
        return self.send("DELETE", path).json()

    def send(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> Answer:
        """Send one request and return the answer.

        Raises:
            ApiError: The hub refused.
            UnreachableError: No hub answers.
        """
        given = dict(headers or {})
        payload = None
        if body is not None:
            payload = json.dumps(body).encode()
            given["Content-Type"] = "application/json"
        return self._exchange(method, path, payload, given, timeout_s=timeout_s)

    def _exchange(
        self,
        method: str,
        path: str,
        payload: bytes | Iterator[bytes] | None,
        headers: Mapping[str, str],
        *,
        timeout_s: float,
    ) -> Answer:
        sent = {**self._headers, **headers}
        with (
            contextlib.closing(self._connection(timeout_s)) as connection,
            self._translated(),
        ):
            # A hub that refuses a file in the middle says why, and reads no further.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.request(
                    method, self._parts.path.rstrip("/") + path, payload, sent
                )
            response = connection.getresponse()
            answer = Answer(response.status, response.headers, response.read())
        if answer.status >= http.client.BAD_REQUEST:
            raise ApiError(answer.status, _problem(answer))
        return answer

    def events(self, path: str, *, last_id: str = "") -> Iterator[Event]:
        """Yield a stream's events up to the one that ends it; a broken line is taken up again after the last event.

        Args:
            last_id: Go on after this event instead of beginning anew.

        Raises:
            ApiError: The hub refused, or told of a problem in mid-stream.
            UnreachableError: The hub stayed away.
        """
        failures = 0
        while True:
            try:
                for event in self._stream(path, last_id):
                    failures = 0
                    last_id = event.id or last_id
                    if event.kind == "problem":
                        problem = event.json()
                        raise ApiError(problem.get("status", 0), problem)
                    yield event
                    if event.kind in LAST_EVENTS:
                        return
            except UnreachableError:
                if failures >= MAX_RECONNECTS:
                    raise
            failures += 1
            if failures > MAX_RECONNECTS:
                raise UnreachableError(f"{self.url} keeps ending the stream.")
            time.sleep(RECONNECT_AFTER_S)

    def _stream(self, path: str, last_id: str) -> Iterator[Event]:
        headers = {**self._headers, "Accept": "text/event-stream"}
        if last_id:
            headers["Last-Event-ID"] = last_id
        with contextlib.closing(self._connection(STREAM_TIMEOUT_S)) as connection:
            with self._translated():
                connection.request(
                    "GET", self._parts.path.rstrip("/") + path, None, headers
                )
                response = connection.getresponse()
            if response.status >= http.client.BAD_REQUEST:
                answer = Answer(response.status, response.headers, response.read())
                raise ApiError(answer.status, _problem(answer))
            yield from _events(self._lines(response))

    def _lines(self, response: http.client.HTTPResponse) -> Iterator[str]:
        while True:
            with self._translated():
                line = response.readline()
            if not line:
                return
            yield line.decode("utf-8", "replace").rstrip("\r\n")

    def _connection(self, timeout_s: float) -> http.client.HTTPConnection:
        kind = (
            http.client.HTTPSConnection
            if self._parts.scheme == "https"
            else http.client.HTTPConnection
        )
        return kind(self._parts.hostname or "", self._parts.port, timeout=timeout_s)

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (OSError, http.client.HTTPException) as error:
            reason = (
                getattr(error, "strerror", None) or str(error) or type(error).__name__
            )
            raise UnreachableError(
                f"No answer from {self.url}: {reason}.",
                hint="Is the appliance running there? MCPCTL_URL or 'mcpctl login --url' name another.",
            ) from error


def _pieces(head: bytes, file: IO[bytes], tail: bytes) -> Iterator[bytes]:
    yield head
    while chunk := file.read(_PIECE):
        yield chunk
    yield tail


def _events(lines: Iterator[str]) -> Iterator[Event]:
    fields: dict[str, list[str]] = {}
    for line in lines:
        if line == "":
            if "data" in fields:
                yield Event(
                    id=fields.get("id", [""])[-1],
                    kind=fields.get("event", ["message"])[-1],
                    data="\n".join(fields["data"]),
                )
            fields = {}
        elif not line.startswith(":"):
            name, _, value = line.partition(":")
            fields.setdefault(name, []).append(value.removeprefix(" "))


def _problem(answer: Answer) -> dict[str, Any]:
    try:
        found = answer.json()
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {}
