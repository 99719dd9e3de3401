"""What can go wrong with backups. Pure."""

from appliance.core.errors import (
    ConflictError,
    FailedError,
    InvalidError,
    NotFoundError,
    UnavailableError,
)


class BackupNotFoundError(NotFoundError):
    """There is no such backup."""

    code = "backup_not_found"


class BackupRunningError(ConflictError):
    """One backup, restore or verification runs at a time."""

    code = "backup_running"


class BackupNotRunningError(ConflictError):
    """What should be cancelled has ended."""

    code = "backup_not_running"


class BackupUnsealedError(ConflictError):
    """The hub has nothing to seal a backup with."""

    code = "backup_unsealed"


class BackupCancelledError(FailedError):
    """Somebody asked for its end."""

    code = "backup_cancelled"


class BackupFailedError(FailedError):
    """A backup could not be made."""

    code = "backup_failed"


class BackupDamagedError(FailedError):
    """A file is no backup, is cut off, or is not what was written."""

    code = "backup_damaged"


class PassphraseError(InvalidError):
    """The passphrase is missing, too short or wrong."""

    code = "backup_passphrase"


class TargetError(InvalidError):
    """A target is not written as one."""

    code = "backup_target"


class TargetUnavailableError(UnavailableError):
    """A target does not answer, or lets nothing be written."""

    code = "backup_target_unavailable"


class RestoreRefusedError(ConflictError):
    """A backup may not be brought back here."""

    code = "restore_refused"


class RestoreFailedError(FailedError):
    """A backup could not be brought back; the box is as it was."""

    code = "restore_failed"
