"""What a secret may be called and may hold. Pure."""

import re

from appliance.secrets.errors import SecretInvalidError
from appliance.secrets.model import MAX_VALUE_BYTES

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
#: Shells and loaders have a use of their own for these; a value there would be lost, or run the wrong program.
RESERVED = frozenset(
    {
        *("PATH", "HOME", "PWD", "OLDPWD", "SHELL", "SHLVL", "IFS", "ENV", "CDPATH"),
        *("PS1", "PS2", "PS3", "PS4", "UID", "EUID", "PPID", "OPTIND", "OPTARG", "_"),
        *("OPTERR", "LINENO", "RANDOM", "SECONDS", "SHELLOPTS", "BASHOPTS", "BASH_ENV"),
        *("LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT"),
        # Of the entry shim.
        *("_mcp_value", "_mcp_line", "_mcp_newline"),
    }
)


def check_name(name: str) -> str:
    """Return ``name`` if a secret may be called so.

    Raises:
        SecretInvalidError: It is no name of an environment variable, or one that shells use themselves.
    """
    if not _NAME.fullmatch(name):
        raise SecretInvalidError.field(
            "name",
            "use letters, digits and _, not starting with a digit, such as API_KEY",
        )
    if name in RESERVED or name.startswith("CFG_"):
        raise SecretInvalidError.field(
            "name", f"{name} has a use of its own; choose another"
        )
    return name


def check_value(value: str) -> bytes:
    """Return ``value`` as it is kept.

    Raises:
        SecretInvalidError: It is empty, too long, or holds NUL.
    """
    try:
        raw = value.encode()
    except UnicodeEncodeError:
        raise SecretInvalidError.field("value", "must be text") from None
    if not raw:
        raise SecretInvalidError.field("value", "is empty; remove the secret instead")
    if len(raw) > MAX_VALUE_BYTES:
        raise SecretInvalidError.field(
            "value", f"has {len(raw):,} bytes; at most {MAX_VALUE_BYTES:,} are kept"
        )
    if b"\0" in raw:
        raise SecretInvalidError.field("value", "must not hold the NUL character")
    return raw
