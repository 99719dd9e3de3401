"""Which member a resource belongs to. Pure."""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

from appliance.gateway.bridge.bundles.merge import Listed
from appliance.gateway.members import Member

_EXPRESSION = re.compile(r"\{([+#./;?&]?)[^{}]*\}")


def owners(
    uri: str, resources: Iterable[Listed], templates: Iterable[Listed]
) -> Sequence[Member]:
    """Return the members that may have ``uri``: the first that lists it, else those whose templates it fits; maybe nobody.

    Args:
        resources: What members list, in their order.
        templates: The same of their templates; one asked for by its own text fits itself.
    """
    for member, items in resources:
        if any(own == uri for own, _ in items):
            return [member]
    return [
        member
        for member, items in templates
        if any(own == uri or fits(own, uri) for own, _ in items)
    ]


def fits(template: str, uri: str) -> bool:
    """Whether ``uri`` may have been made from a URI template (RFC 6570)."""
    return _pattern(template).fullmatch(uri) is not None


@lru_cache(maxsize=4_096)
def _pattern(template: str) -> re.Pattern[str]:
    parts, end = [], 0
    for found in _EXPRESSION.finditer(template):
        parts.append(re.escape(template[end : found.start()]))
        # Plain expressions hold no slash; those with an operator may, and may be empty.
        parts.append(".*" if found[1] else "[^/]+")
        end = found.end()
    parts.append(re.escape(template[end:]))
    return re.compile("".join(parts), re.DOTALL)
