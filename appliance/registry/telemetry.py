"""What servers' pages, metrics and logs are told of registries. Names and fields are fixed: other tools read them.

Every event carries the same fields, whether they say something or not: ``attempt`` (engine pushes begun so far; 0: none),
``retry_limit``, ``registry_endpoint``, ``error_kind`` (``None``: no error), ``auth_expired``, ``platform`` (``None``: all of
them) and ``scopes``.
"""

from enum import StrEnum
from typing import Any

import structlog

from appliance.observability.redaction import redact_text
from appliance.observability.usage import record_usage

log = structlog.get_logger("registry.push")


class Event(StrEnum):
    """Every event that rooms may record here."""

    TAG_STARTED = "tag_started"
    TAG_SUCCEEDED = "tag_succeeded"
    PUSH_STARTED = "push_started"
    PUSH_RETRY = "push_retry"
    PUSH_SUCCEEDED = "push_succeeded"
    PUSH_FAILED = "push_failed"
    MANIFEST_PUBLISHED = "manifest_published"
    MANIFEST_PRUNE_STARTED = "manifest_prune_started"
    MANIFEST_PRUNE_SUCCEEDED = "manifest_prune_succeeded"
    MANIFEST_PRUNE_FAILED = "manifest_prune_failed"
    AUTH_HEALTH_REPORTED = "auth_health_reported"
    AUTH_REFRESH_STARTED = "auth_refresh_started"
    AUTH_REFRESH_SUCCEEDED = "auth_refresh_succeeded"
    AUTH_REFRESH_FAILED = "auth_refresh_failed"
    AUTH_ROTATION_STARTED = "auth_rotation_started"
    AUTH_ROTATION_SUCCEEDED = "auth_rotation_succeeded"
    AUTH_ROTATION_FAILED = "auth_rotation_failed"
    AUTH_ROTATION_SKIPPED = "auth_rotation_skipped"


def details(**fields: Any) -> dict[str, Any]:
    """Return an event's details: the fields that all have, and ``fields`` over them, texts without secrets. Pure."""
    whole: dict[str, Any] = {
        "attempt": 0,
        "retry_limit": 0,
        "registry_endpoint": "",
        "error_kind": None,
        "auth_expired": False,
        "platform": None,
        "scopes": [],
    }
    whole |= fields
    return {
        name: redact_text(value) if isinstance(value, str) else value
        for name, value in whole.items()
    }


def record(server_id: int, event: str, **fields: Any) -> None:
    """Write one event into ``usage_metrics``, and broadcast it; runs inside ``database.run``.

    Raises:
        ValueError: No event has this name.
    """
    record_usage(server_id, Event(event).value, details(**fields))
