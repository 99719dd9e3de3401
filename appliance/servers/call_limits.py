"""What clients may ask of one server through the gateway: bounds, JSON and back. Pure."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from appliance.servers.model import CallLimits


@dataclass(frozen=True)
class _Bound:
    least: float
    most: float
    #: What to give, said to who gave something else.
    help: str


BOUNDS: Final = {
    "calls_per_second": _Bound(
        0.001, 1_000_000, "give 0.001 to 1,000,000 calls a second, or nothing"
    ),
    "concurrency": _Bound(1, 1_000_000, "give 1 to 1,000,000 calls at once, or nothing"),
    "body_bytes": _Bound(
        1024, 100 * 1024**2, "give 1,024 to 104,857,600 bytes, or nothing"
    ),
    "timeout_s": _Bound(0.1, 3600, "give 0.1 to 3,600 seconds, or nothing"),
}  # fmt: skip


def problems(limits: CallLimits) -> dict[str, str]:
    """Return what is wrong, by field."""
    return {
        f"limits.{name}": bound.help
        for name, bound in BOUNDS.items()
        if not _is_within(getattr(limits, name), bound)
    }


def _is_within(value: float | None, bound: _Bound) -> bool:
    return value is None or (
        math.isfinite(value) and bound.least <= value <= bound.most
    )


def as_dict(limits: CallLimits) -> dict[str, float]:
    """Return the limits that there are, as they are stored, answered and read by the gateway."""
    values = {name: getattr(limits, name) for name in BOUNDS}
    return {name: value for name, value in values.items() if value is not None}


def from_dict(data: Mapping[str, Any]) -> CallLimits:
    """Return what ``as_dict`` stored."""
    return CallLimits(**{name: data.get(name) for name in BOUNDS})
