"""What somebody who calls a server's webhook must show, and what their call starts. Pure."""

import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any
from urllib.parse import parse_qs

from appliance.servers.errors import WebhookBodyError
from appliance.sources.model import GitSource, Source

#: A delivery is known again for so long, and its row is kept.
KEEP = timedelta(days=30)
SIGNATURE_PREFIX = "sha256="
MAX_DETAIL = 300
_DELIVERY = re.compile(r"[A-Za-z0-9-]{8,64}")
_EVENT = re.compile(r"[a-z_]{1,64}")


class Door(StrEnum):
    """Which of a server's two addresses was called."""

    WEBHOOK = "webhook"
    GITHUB = "github"


class DeliveryOutcome(StrEnum):
    """What a call came to."""

    #: A redeploy waits, or has begun since.
    QUEUED = "queued"
    #: A redeploy waited already and takes this in.
    COALESCED = "coalesced"
    PING = "ping"
    #: Known and right, and nothing to be done.
    IGNORED = "ignored"
    #: It came before.
    REPLAYED = "replayed"
    #: The secret or the signature was wrong.
    REFUSED = "refused"

    @property
    def is_effective(self) -> bool:
        """Whether it led to a redeploy."""
        return self in {DeliveryOutcome.QUEUED, DeliveryOutcome.COALESCED}


@dataclass(frozen=True)
class Verdict:
    """What a call is to come to."""

    outcome: DeliveryOutcome
    detail: str


QUEUE = Verdict(DeliveryOutcome.QUEUED, "A redeploy is queued.")


@dataclass(frozen=True)
class GithubCall:
    """One request to the GitHub door, as it came."""

    event: str
    delivery_id: str
    signature: str
    content_type: str
    body: bytes


def has_secret(given: str, secret: bytes) -> bool:
    """Return whether the header says the secret; takes as long for every wrong one."""
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), secret)


def has_signature(call: GithubCall, secret: bytes) -> bool:
    """Return whether the body was signed with the secret; takes as long for every wrong signature."""
    expected = hmac.new(secret, call.body, hashlib.sha256).hexdigest()
    given = call.signature.encode("utf-8", "surrogateescape")
    return hmac.compare_digest(given, f"{SIGNATURE_PREFIX}{expected}".encode())


def is_well_formed(call: GithubCall) -> bool:
    """Return whether event and delivery look like GitHub's; both reach tables and pages."""
    return bool(_EVENT.fullmatch(call.event) and _DELIVERY.fullmatch(call.delivery_id))


def payload_of(call: GithubCall) -> Mapping[str, Any]:
    """Return the event's payload, from either of the two content types that GitHub offers.

    Raises:
        WebhookBodyError: It is not a JSON object.
    """
    text = call.body
    try:
        if call.content_type == "application/x-www-form-urlencoded":
            text = parse_qs(text.decode(), max_num_fields=4)["payload"][0].encode()
        found = json.loads(text)
    except (ValueError, KeyError, RecursionError) as error:
        raise WebhookBodyError(
            "The event's payload cannot be read.",
            hint="Choose the content type application/json in the webhook's settings.",
        ) from error
    if not isinstance(found, dict):
        raise WebhookBodyError("The event's payload is not a JSON object.")
    return found


def judge(
    source: Source, event: str, payload: Mapping[str, Any], *, now: datetime
) -> Verdict:
    """Return what a signed event is to come to."""
    if event == "ping":
        return Verdict(DeliveryOutcome.PING, "Well received. A push starts a redeploy.")
    if event != "push":
        return _ignored(f"Only push starts a redeploy, not {event}.")
    if not isinstance(source, GitSource):
        return _ignored(
            "The server is not built from a repository, so no branch of it is tracked."
        )
    return _judge_push(source, payload, now)


def _judge_push(
    source: GitSource, payload: Mapping[str, Any], now: datetime
) -> Verdict:
    ref, repository = payload.get("ref"), payload.get("repository")
    told = repository if isinstance(repository, Mapping) else {}
    tracked = source.branch or told.get("default_branch")
    if not isinstance(ref, str) or not isinstance(tracked, str):
        return _ignored("The push names no branch.")
    if ref not in {f"refs/heads/{tracked}", f"refs/tags/{tracked}"}:
        pushed = ref.removeprefix("refs/heads/")
        return _ignored(f"The push was to {pushed}; this server tracks {tracked}.")
    if payload.get("deleted") is True:
        return _ignored(f"{tracked} was deleted.")
    # GitHub signs this moment with the rest, so a push that is too old to be known again cannot pose as a new one.
    pushed_at = told.get("pushed_at")
    if isinstance(pushed_at, int) and _moment(pushed_at) < now - KEEP:
        return _ignored(f"The push is older than {KEEP.days} days.")
    return QUEUE


def _moment(seconds: int) -> datetime:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return datetime.min.replace(tzinfo=UTC)


def _ignored(detail: str) -> Verdict:
    printable = "".join(letter if letter.isprintable() else "�" for letter in detail)
    return Verdict(DeliveryOutcome.IGNORED, printable[:MAX_DETAIL])


def body_digest(body: bytes) -> bytes:
    """Return what tells a body from every other: the delivery's id is not signed, the body is."""
    return hashlib.sha256(body).digest()
