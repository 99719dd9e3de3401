"""What can go wrong with a server's files, and how a volume's refusal is told.

NotFoundError   FileMissingError
ConflictError   FileExistsError_, NotAFileError, FolderNotEmptyError, FilesFullError, NoFilesHereError
InvalidError    FilePathError (paths), ChecksumError (digests), RangeError (ranges)
ForbiddenError  FileDeniedError
Unavailable     FilesNotReadyError
"""

from appliance.core.errors import (
    ConflictError,
    DomainError,
    FailedError,
    ForbiddenError,
    NotFoundError,
    UnavailableError,
)
from appliance.core.units import size
from appliance.files.digests import ChecksumError
from appliance.files.paths import FilePathError, Parts, shown
from appliance.runtimes.errors import VolumeRefusedError
from appliance.runtimes.volume_model import Refusal


class FileMissingError(NotFoundError):
    """There is nothing of that name."""

    code = "file_missing"


class NameTakenError(ConflictError):
    """Something has that name already."""

    code = "file_exists"


class WrongKindError(ConflictError):
    """It is a folder where a file is meant, or a file, link or device where a folder is."""

    code = "file_wrong_kind"


class FolderNotEmptyError(ConflictError):
    """The folder holds something."""

    code = "folder_not_empty"


class FilesFullError(ConflictError):
    """There is no room: the quota or the disk is used up."""

    code = "files_full"


class NoFilesError(ConflictError):
    """The server has no ``/data`` here, or not yet."""

    code = "no_files"


class FileDeniedError(ForbiddenError):
    """The server itself took away the right to it."""

    code = "file_denied"


class FilesNotReadyError(UnavailableError):
    """The box makes what it needs for a look into files."""

    code = "files_not_ready"


class FileFailedError(FailedError):
    """The box could not do it."""

    code = "file_failed"


def told(error: VolumeRefusedError, path: Parts) -> DomainError:
    """Return a volume's refusal in words, about ``path``."""
    name, facts = shown(path) or "/data", error.facts
    match error.refusal:
        case Refusal.MISSING:
            return FileMissingError(f"There is no {name}.")
        case Refusal.EXISTS:
            return NameTakenError(
                f"There is a {name} already; nothing was changed.",
                hint="Take another name, or ask to overwrite it.",
            )
        case Refusal.IS_A_FOLDER:
            return WrongKindError(f"{name} is a folder.")
        case Refusal.NOT_A_FILE:
            return WrongKindError(
                f"{name} is neither a file nor a folder: links are shown, and never followed."
            )
        case Refusal.NOT_A_FOLDER:
            return WrongKindError(
                f"The way to {name} leads through something that is no folder: links are shown, and never followed."
            )
        case _:
            return _told_of_changes(error, name) or FileFailedError(
                f"The box could not do this with {name}: {facts.get('words', 'no reason')}."
            )


def _told_of_changes(error: VolumeRefusedError, name: str) -> DomainError | None:
    facts = error.facts
    match error.refusal:
        case Refusal.NOT_EMPTY:
            return FolderNotEmptyError(
                f"{name} is not empty.",
                hint="Ask to remove all that is in it, too. If it fills again, stop the server first.",
            )
        case Refusal.FULL:
            free = f" It has {size(facts['free'])} left." if "free" in facts else ""
            return FilesFullError(
                f"The disk that the server's files are on is full.{free}"
            )
        case Refusal.OVER_LIMIT:
            return FilesFullError(f"There is no room for {name}; nothing was stored.")
        case Refusal.CHECKSUM:
            return ChecksumError.field(
                "sha256",
                f"what came has {facts['sha256']} in {facts['size']} bytes; nothing was stored",
            )
        case Refusal.DENIED:
            return FileDeniedError(
                f"The server has taken away its own user's right to {name}."
            )
        case Refusal.TOO_LONG | Refusal.BAD_NAME:
            return FilePathError.field("path", "is no name that a file can have")
        case Refusal.INTO_ITSELF:
            return WrongKindError(f"{name} cannot be moved there.")
        case _:
            return None
