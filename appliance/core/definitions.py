"""Which of two definitions of a tool are the same, wherever they were read. Pure.

The hub approves a definition that it read, kept as JSON in Postgres; the gateway recognises it in what a server sends to a
client. Both compare fingerprints, which therefore must not depend on who parsed the JSON, nor on how it was written.
"""

import hashlib
import json
from typing import Any

#: Up to here every parser reads a number exactly.
_EXACT = 2**53


def fingerprint(definition: Any) -> str:
    """Return the SHA-256 of a JSON value, the same for every way to write it.

    Raises:
        RecursionError: It is nested too deeply.
    """
    text = json.dumps(_plain(definition), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    return _number(value)


def _number(value: float) -> float | str:
    """Return a number as one of a kind: 1 and 1.0 are the same, and so is what no parser keeps apart."""
    if abs(value) < _EXACT:
        return int(value) if value == int(value) else value
    try:
        return float(value)
    except OverflowError:
        return str(value)
