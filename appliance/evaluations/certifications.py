"""What a certification is worth, and when that changes next. Pure."""

import re
from dataclasses import replace
from datetime import datetime, timedelta

from appliance.core.errors import InvalidError
from appliance.evaluations.model import Certification, Finding, Standing, Status

#: What a tier is called, and what is asked of it.
_TIER = re.compile(r"(gold|silver|watchlist|unrated):[^\s*?:\[\]]{1,64}")
_REQUIREMENT = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_FIXED = {Status.PENDING: Standing.PENDING, Status.FAIL: Standing.FAILED}


def standing(certification: Certification | None, at: datetime) -> Standing:
    """Return what a certification is worth at a moment; its last moment is no longer its own."""
    if certification is None:
        return Standing.MISSING
    return standing_of(certification.finding, at)


def standing_of(finding: Finding, at: datetime) -> Standing:
    """Return what a finding is worth at a moment."""
    fixed = _FIXED.get(finding.status)
    if fixed is not None:
        return fixed
    if finding.valid_from is not None and at < finding.valid_from:
        return Standing.NOT_YET
    if finding.valid_until is not None and at >= finding.valid_until:
        return Standing.EXPIRED
    return Standing.ACTIVE


def is_expiring(finding: Finding, at: datetime) -> bool:
    """Tell whether it is time to warn: it is active, and will not be for longer than the days of warning."""
    until = finding.valid_until
    return (
        standing_of(finding, at) is Standing.ACTIVE
        and until is not None
        and at >= until - timedelta(days=finding.warn_days)
    )


def next_change(finding: Finding, at: datetime) -> datetime | None:
    """Return when somebody has to look at it again after ``at``; ``None``: never."""
    if finding.status is not Status.PASS:
        return None
    moments = [finding.valid_from, finding.valid_until]
    if finding.valid_until is not None:
        moments.append(finding.valid_until - timedelta(days=finding.warn_days))
    ahead = [moment for moment in moments if moment is not None and moment > at]
    return min(ahead, default=None)


def windowed(finding: Finding, at: datetime) -> Finding:
    """Return a finding whose window makes sense: that of a pass begins now unless it says otherwise, anything else has none.

    Raises:
        InvalidError: It ends before it begins, or has ended already.
    """
    if finding.status is not Status.PASS:
        if finding.valid_from or finding.valid_until:
            name = "valid_until" if finding.valid_until else "valid_from"
            raise InvalidError.field(
                name, "goes with status pass alone; leave it out otherwise"
            )
        return finding
    begin = finding.valid_from or at
    if finding.valid_until is not None and finding.valid_until <= max(begin, at):
        raise InvalidError.field(
            "valid_until", "must be later than now and than valid_from"
        )
    return replace(finding, valid_from=begin)


def tier_name(text: str) -> str:
    """Return a tier's one name.

    Raises:
        InvalidError: It is none, or a pattern of several.
    """
    found = text.strip().lower()
    if not _TIER.fullmatch(found):
        raise InvalidError.field(
            "tier", "must be a class and a server type, such as gold:npm"
        )
    return found


def requirement_name(text: str) -> str:
    """Return a requirement's one name.

    Raises:
        InvalidError: It is none.
    """
    if not _REQUIREMENT.fullmatch(text):
        raise InvalidError.field(
            "policy_requirement",
            "must be 1 to 63 lower-case letters, digits, dots, dashes or underscores, such as smoke",
        )
    return text
