"""Request states and task ids that only their owner can use. Pure.

A server of the stateless revision hands its client a ``requestState`` to come back with, and the id of a ``task`` to ask for.
The server cannot know whose they are: to it all calls come from the gateway. So what leaves the gateway is signed over
server, principal and, for a request state, the method, the tool and a time to live; what comes back without it does not reach
the server. Nothing is stored (as with session ids, decision 4).

Only messages that are marked are looked into; all others pass untouched.
"""

import base64
import hashlib
import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import Raw

STATE_LIVES_S = 3600
_TASK_METHODS = {
    "tasks/get",
    "tasks/result",
    "tasks/cancel",
    "tasks/update",
}
_RELATED_TASK = "io.modelcontextprotocol/related-task"
_SIGNATURE_BYTES = 18


class ForeignStateError(Exception):
    """A request state or a task id was not given to this principal, or not for this; to it there is no such thing.

    Args:
        name: ``requestState`` or ``taskId``.
    """

    def __init__(self, name: str) -> None:
        """Make the message."""
        super().__init__(f"{name} is not known here, or has expired.")
        self.name = name


@dataclass(frozen=True, slots=True)
class Owner:
    """For whom something is signed."""

    #: Of the route: a server or a bundle.
    place: str
    principal: str


def is_marked(body: bytes) -> bool:
    """Whether ``body`` may hold something to bind. A JSON string can be spelled with escapes, so an escape is a mark too."""
    # ``in`` takes twice the time of ``find``: it tries whether the bytes that are looked for are a number.
    return (
        body.find(b'"requestState"') >= 0
        or body.find(b'"taskId"') >= 0
        or body.find(b"\\u00") >= 0
    )


class StateBinder:
    """Signs what leaves and checks what comes back.

    Args:
        key: 32 secret bytes, the same in every worker.
        now: Seconds since the epoch.
    """

    def __init__(self, key: bytes, now: Callable[[], float] = time.time) -> None:
        """Keep both."""
        self._key = key
        self._now = now

    def sign_message(self, body: bytes, owner: Owner, purpose: str) -> bytes:
        """Return one JSON-RPC message of a server's with what it hands out signed.

        Args:
            body: As the server sent it; returned as it is if there is nothing to sign.
            owner: Who gets it.
            purpose: ``method`` and tool of the request that it answers, for the request state alone.
        """
        message = _object(body)
        changed = False
        for part in ("result", "params"):
            fields = _object(bytes(message[part])) if part in message else {}
            if fields and self._sign_fields(fields, owner, purpose):
                message[part] = Raw(msgspec.json.encode(fields))
                changed = True
        return msgspec.json.encode(message) if changed else body

    def check_request(
        self, params: bytes, method: str, owner: Owner, purpose: str
    ) -> bytes:
        """Return a request's ``params`` with the server's own request state and task id.

        Raises:
            ForeignStateError: One of them is not this owner's.
        """
        fields = _object(params)
        changed = False
        if "requestState" in fields:
            state = self._state(_text(fields["requestState"]), owner, purpose)
            fields["requestState"] = _raw(state)
            changed = True
        if method in _TASK_METHODS and "taskId" in fields:
            fields["taskId"] = _raw(self._task(_text(fields["taskId"]), owner))
            changed = True
        meta = _object(bytes(fields["_meta"])) if "_meta" in fields else {}
        if _RELATED_TASK in meta:
            related = _object(bytes(meta[_RELATED_TASK]))
            if "taskId" in related:
                related["taskId"] = _raw(self._task(_text(related["taskId"]), owner))
                meta[_RELATED_TASK] = Raw(msgspec.json.encode(related))
                fields["_meta"] = Raw(msgspec.json.encode(meta))
                changed = True
        return msgspec.json.encode(fields) if changed else params

    def _sign_fields(self, fields: dict[str, Raw], owner: Owner, purpose: str) -> bool:
        """Sign in place; return whether anything was."""
        changed = self._sign_text(
            fields,
            "requestState",
            lambda text: self._signed_state(text, owner, purpose),
        )
        changed |= self._sign_task(fields, owner)
        if "task" in fields:
            task = _object(bytes(fields["task"]))
            if self._sign_task(task, owner):
                fields["task"] = Raw(msgspec.json.encode(task))
                changed = True
        meta = _object(bytes(fields["_meta"])) if "_meta" in fields else {}
        if _RELATED_TASK in meta:
            related = _object(bytes(meta[_RELATED_TASK]))
            if self._sign_task(related, owner):
                meta[_RELATED_TASK] = Raw(msgspec.json.encode(related))
                fields["_meta"] = Raw(msgspec.json.encode(meta))
                changed = True
        if "tasks" in fields:
            # Whose the others are nobody can tell: a server's list of tasks is not shown.
            fields["tasks"] = Raw(b"[]")
            changed = True
        return changed

    def _sign_task(self, fields: dict[str, Raw], owner: Owner) -> bool:
        return self._sign_text(
            fields, "taskId", lambda text: self._signed("task", text, owner, "")
        )

    def _sign_text(
        self, fields: dict[str, Raw], name: str, sign: Callable[[str], str]
    ) -> bool:
        text = _text(fields.get(name))
        if text is None:
            return False
        fields[name] = _raw(sign(text))
        return True

    def _signed_state(self, state: str, owner: Owner, purpose: str) -> str:
        until = f"{int(self._now()) + STATE_LIVES_S:x}"
        return self._signed("state", f"{state}.{until}", owner, purpose)

    def _state(self, signed: str | None, owner: Owner, purpose: str) -> str:
        timed = self._checked("state", signed, owner, purpose)
        state, _, until = (timed or "").rpartition(".")
        if timed is None or int(until, 16) < self._now():
            raise ForeignStateError("requestState")
        return state

    def _task(self, signed: str | None, owner: Owner) -> str:
        task = self._checked("task", signed, owner, "")
        if task is None:
            raise ForeignStateError("taskId")
        return task

    def _signed(self, kind: str, text: str, owner: Owner, purpose: str) -> str:
        return f"{text}.{self._signature(kind, text, owner, purpose)}"

    def _checked(
        self, kind: str, signed: str | None, owner: Owner, purpose: str
    ) -> str | None:
        text, dot, signature = (signed or "").rpartition(".")
        wanted = self._signature(kind, text, owner, purpose)
        is_ours = hmac.compare_digest(
            signature.encode(errors="replace"), wanted.encode()
        )
        return text if dot and is_ours else None

    def _signature(self, kind: str, text: str, owner: Owner, purpose: str) -> str:
        # Lengths before the parts, because a purpose comes from outside and may hold any character.
        parts = (kind, owner.place, owner.principal, purpose, text)
        packed = b"".join(
            len(part).to_bytes(8, "big") + part
            for part in (item.encode(errors="surrogatepass") for item in parts)
        )
        digest = hmac.new(self._key, packed, hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest[:_SIGNATURE_BYTES]).decode()


class StreamSigner:
    """Signs the messages of an event stream as it passes.

    Events that are not marked pass as they were written. An event is held back until it is complete, which a client does too.

    Args:
        sign: Signs one message.
        limit: Bytes an event may have.
        marked: Whether events are looked into.
    """

    def __init__(
        self,
        sign: Callable[[bytes], bytes],
        limit: int,
        marked: Callable[[bytes], bool] = is_marked,
    ) -> None:
        """Start between two events."""
        self._sign = sign
        self._limit = limit
        self._is_marked = marked
        self._rest = b""

    def feed(self, piece: bytes) -> bytes:
        """Return what may pass now.

        Raises:
            ConnectionError: An event is longer than the limit.
        """
        text = self._rest + piece
        # Line ends are LF, CR LF or CR (HTML, section 9.2.6); a CR at the very end may be half of one.
        end = max(text.rfind(b"\n\n"), text.rfind(b"\n\r\n"), text.rfind(b"\r\r"))
        if end < 0:
            return self._keep(text, 0)
        end += 3 if text[end : end + 3] == b"\n\r\n" else 2
        whole = text[:end]
        self._keep(text, end)
        return self._signed(whole) if self._is_marked(whole) else whole

    def finish(self) -> bytes:
        """Return what is left when the stream ends; without its empty line it is no event, and clients drop it."""
        rest, self._rest = self._rest, b""
        return b"" if self._is_marked(rest) else rest

    def _keep(self, text: bytes, start: int) -> bytes:
        self._rest = text[start:]
        if len(self._rest) > self._limit:
            raise ConnectionError(f"an event is longer than {self._limit} bytes")
        return b""

    def _signed(self, events: bytes) -> bytes:
        text = events.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        return b"".join(
            self._signed_event(event) if self._is_marked(event) else event + b"\n\n"
            for event in text.split(b"\n\n")
            if event.strip(b"\n")
        )

    def _signed_event(self, event: bytes) -> bytes:
        lines = event.split(b"\n")
        data = [line[5:].removeprefix(b" ") for line in lines if line[:5] == b"data:"]
        others = [line for line in lines if line and line[:5] != b"data:"]
        if data:
            others.append(b"data: " + self._sign(b"\n".join(data)).replace(b"\n", b" "))
        return b"\n".join(others) + b"\n\n"


def _object(raw: bytes) -> dict[str, Raw]:
    try:
        return msgspec.json.decode(raw, type=dict[str, Raw])
    except msgspec.DecodeError:
        return {}


def _text(raw: Raw | None) -> str | None:
    value: Any = None if raw is None else msgspec.json.decode(raw)
    return value if isinstance(value, str) else None


def _raw(text: str) -> Raw:
    return Raw(msgspec.json.encode(text))
