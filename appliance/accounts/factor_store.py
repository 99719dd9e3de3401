"""Queries about second factors; every function runs inside ``database.run``."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from appliance.accounts.tables import RecoveryCodeRow, TotpRow
from appliance.core.clock import now


@dataclass(frozen=True)
class Totp:
    """What a person's app was given."""

    #: Sealed.
    secret: bytes
    confirmed_at: datetime | None


def get(user_id: int) -> Totp | None:
    """Return what a person's app was given, confirmed or not."""
    row = TotpRow.get_or_none(TotpRow.user_id == user_id)
    return Totp(bytes(row.secret), row.confirmed_at) if row else None


def put(user_id: int, secret: bytes) -> None:
    """Write a secret that is not confirmed yet, in the place of another such."""
    TotpRow.delete().where(
        TotpRow.user_id == user_id, TotpRow.confirmed_at.is_null()
    ).execute()
    TotpRow.insert(user_id=user_id, secret=secret, created_at=now()).execute()


def confirm(user_id: int) -> None:
    """From now on a code is asked for."""
    TotpRow.update(confirmed_at=now()).where(TotpRow.user_id == user_id).execute()


def take_step(user_id: int, step: int) -> bool:
    """Note that a step's code was shown; return whether it is later than every one before."""
    return bool(
        TotpRow.update(last_step=step)
        .where(
            TotpRow.user_id == user_id,
            TotpRow.last_step.is_null() | (TotpRow.last_step < step),
        )
        .execute()
    )


def remove(user_id: int) -> bool:
    """Forget a person's app and codes; return whether there was an app."""
    RecoveryCodeRow.delete().where(RecoveryCodeRow.user_id == user_id).execute()
    return bool(TotpRow.delete().where(TotpRow.user_id == user_id).execute())


def put_codes(user_id: int, hashes: Sequence[bytes]) -> None:
    """Write recovery codes in the place of all others."""
    RecoveryCodeRow.delete().where(RecoveryCodeRow.user_id == user_id).execute()
    for code_hash in hashes:
        RecoveryCodeRow.create(user_id=user_id, code_hash=code_hash)


def take_code(user_id: int, code_hash: bytes) -> bool:
    """Use up a recovery code; return whether there was one."""
    return bool(
        RecoveryCodeRow.update(used_at=now())
        .where(
            RecoveryCodeRow.user_id == user_id,
            RecoveryCodeRow.code_hash == code_hash,
            RecoveryCodeRow.used_at.is_null(),
        )
        .execute()
    )


def codes_left(user_id: int) -> int:
    """Return how many recovery codes were not used."""
    return int(
        RecoveryCodeRow.select()
        .where(RecoveryCodeRow.user_id == user_id, RecoveryCodeRow.used_at.is_null())
        .count()
    )
