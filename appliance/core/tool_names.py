"""How a member's tools and prompts are named in a bundle. Pure; the hub checks by it, the gateway translates by it.

``<prefix><separator><name>``, or a name of the bundle's own choice. No member's prefix with its separator begins another's, and
no chosen name begins with one: so a name leads to one tool of one member, whatever the members offer.
"""

import re
from collections.abc import Iterable
from itertools import combinations

#: Characters that the protocol allows; many model APIs take no more than ``ADVISED_NAME``.
MAX_NAME = 128
ADVISED_NAME = 64
_NAME = re.compile(rf"[A-Za-z0-9_.-]{{1,{MAX_NAME}}}")


def is_name(text: str) -> bool:
    """Whether ``text`` may be the name of a tool."""
    return _NAME.fullmatch(text) is not None


def exposed_name(
    prefix: str, separator: str, name: str, chosen: str = ""
) -> str | None:
    """Return the name that clients see; ``None`` if it could not be one: the tool is left out until a name is chosen."""
    found = chosen or f"{prefix}{separator}{name}"
    return found if is_name(found) else None


def entangled(heads: Iterable[str]) -> tuple[str, str] | None:
    """Return the first two of ``heads`` (prefixes with their separator) of which one begins the other."""
    for one, other in combinations(heads, 2):
        if one.startswith(other) or other.startswith(one):
            return one, other
    return None
