"""Tiers of artifacts, ``gold:npm``: a class and a server type, in any case; and patterns of them. Pure."""

import re

#: The class of what the ledger has no run of.
UNRATED = "unrated"
CLASSES = ("gold", "silver", "watchlist", UNRATED)
_PATTERN = re.compile(r"\*|(gold|silver|watchlist|unrated|\*):(\*|[^\s*?:\[\]]{1,64})")


def tier_of(tier_class: str, server_type: str) -> str:
    """Return a tier's one name.

    >>> tier_of("gold", "Router")
    'gold:router'
    """
    return f"{tier_class}:{server_type}".lower()


def is_pattern(text: str) -> bool:
    """Tell whether ``text`` names tiers: ``gold:npm``, ``gold:*``, ``*:npm`` or ``*``."""
    return _PATTERN.fullmatch(text.lower()) is not None


def matches(tier: str, pattern: str) -> bool:
    """Tell whether a pattern names a tier.

    >>> matches("gold:npm", "gold:*"), matches("gold:npm", "*:git"), matches("gold:npm", "*")
    (True, False, True)
    """
    if pattern == "*":
        return True
    wanted_class, _, wanted_type = pattern.lower().partition(":")
    tier_class, _, server_type = tier.lower().partition(":")
    return wanted_class in {"*", tier_class} and wanted_type in {"*", server_type}
