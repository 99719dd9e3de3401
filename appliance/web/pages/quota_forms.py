"""Quotas in forms: a number, any, or default."""

from collections.abc import Mapping

from appliance.core.errors import InvalidError
from appliance.servers.quotas.model import QuotaKind, Standard, Standing, Wanted

ANY = "any"


def shown_limits(found: Standing) -> dict[str, str]:
    """Return what the controls of a form hold."""
    limits = {
        QuotaKind.BUILD_MINUTES: found.minutes.limit,
        QuotaKind.DISK: found.disk.limit,
    }
    return {
        kind.value: Standard.DEFAULT.value
        if limit.is_default
        else ANY
        if limit.amount is None
        else str(limit.amount)
        for kind, limit in limits.items()
    }


def read_limits(form: Mapping[str, str]) -> dict[QuotaKind, Wanted]:
    """Return what a form says; what it lacks stays.

    Raises:
        InvalidError: Something else stands in a control.
    """
    return {
        kind: _limit(kind, form[kind.value].strip().lower())
        for kind in QuotaKind
        if kind.value in form
    }


def _limit(kind: QuotaKind, text: str) -> Wanted:
    if text in {"", Standard.DEFAULT.value}:
        return Standard.DEFAULT
    if text == ANY:
        return None
    if not text.isdecimal():
        raise InvalidError.field(kind.value, "give a number, any, or default")
    return int(text)
