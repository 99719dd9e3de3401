"""Where the passphrase of a backup comes from."""

import getpass
import sys
from pathlib import Path

from appliance.backups.errors import PassphraseError
from appliance.backups.pack import require_passphrase
from appliance.settings import Settings


def from_file(path: Path) -> str:
    """Return the first line of a file. Blocking.

    Raises:
        PassphraseError: It cannot be read, is empty or too short.
    """
    try:
        passphrase = path.read_text().split("\n", 1)[0].strip()
    except OSError as error:
        raise PassphraseError.field(
            "passphrase", f"{path} cannot be read: {error.strerror}."
        ) from error
    require_passphrase(passphrase)
    return passphrase


def find(file: Path | None, settings: Settings | None, *, is_new: bool) -> str:
    """Return the passphrase: of the file, of BACKUP_PASSPHRASE_FILE, or of whoever sits at the terminal. Blocking.

    Args:
        is_new: Whether something is sealed with it, so that it is asked for twice.

    Raises:
        PassphraseError: There is none.
    """
    if file is None and settings is not None:
        file = settings.backup_passphrase_file
    if file is not None:
        return from_file(file)
    if not sys.stdin.isatty():
        raise PassphraseError.field(
            "passphrase",
            "give --passphrase-file, or set BACKUP_PASSPHRASE_FILE. Make one with: (umask 077; openssl rand -base64 24 > FILE)",
        )
    passphrase = getpass.getpass("Passphrase of the backup: ")
    if is_new:
        require_passphrase(passphrase)
        if getpass.getpass("The same again: ") != passphrase:
            raise PassphraseError.field("passphrase", "the two are not the same.")
    return passphrase
