"""Tries to show a password, counted before they are looked at. The functions run inside ``database.run``."""

import unicodedata
from dataclasses import dataclass

from appliance.accounts import attempt_store, limits
from appliance.accounts.errors import TooManyAttemptsError
from appliance.core.clock import now

MAX_EMAIL = 254


def email_subject(email: str) -> str:
    """Return what tries with this e-mail count under, however it is written."""
    return f"email:{unicodedata.normalize('NFKC', email).strip().lower()[:MAX_EMAIL]}"


@dataclass(frozen=True)
class Attempt:
    """A try that counts as failed until it is known to be right."""

    ids: list[int]
    email_subject: str


def begin(*subjects: str) -> Attempt:
    """Note a try before the password is looked at, so that a hundred at once are not a hundred guesses.

    Args:
        subjects: The e-mail's first, then perhaps the address's.

    Raises:
        TooManyAttemptsError: Too many tries failed under one of them.
    """
    moment = now()
    attempt_store.lock(subjects)
    for subject in subjects:
        limit = limits.PER_EMAIL if subject.startswith("email:") else limits.PER_ADDRESS
        failed = attempt_store.failures(subject, moment - limits.WINDOW)
        if seconds := limits.retry_after_s(failed, limit, moment):
            raise TooManyAttemptsError(
                "Too many attempts to sign in failed.",
                retry_after_s=seconds,
                hint=f"Try again in {seconds} seconds.",
            )
    return Attempt(attempt_store.add(subjects, succeeded=False), subjects[0])


def was_right(attempt: Attempt) -> None:
    """Take the try back, and forgive the e-mail's earlier failures."""
    # Only the e-mail's failures are forgiven: otherwise one known account would lift the limit of its address.
    attempt_store.forget(attempt.ids)
    attempt_store.add((attempt.email_subject,), succeeded=True)
