"""What things with an address of their own may be called. Pure."""

import re
from typing import Final

from appliance.core.errors import InvalidError

#: RFC 1035, 2.3.1: a label of a domain name.
MAX_NAME: Final = 63
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def check_label(name: str, *, example: str) -> str:
    """Return ``name`` if it is a lower-case DNS label, as servers and bundles are called.

    Raises:
        InvalidError: It is none; the text names the field ``name`` and shows ``example``.
    """
    if not _LABEL.fullmatch(name):
        raise InvalidError.field(
            "name",
            f"use 1 to {MAX_NAME} lower-case letters, digits and inner hyphens, such as {example}",
        )
    return name
