"""What a registry and its namespace may be called. Pure."""

import re

_HOST = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:]+\])(?::[0-9]{1,5})?"
)
_NAMESPACE = re.compile(
    r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*"
)


def split_registry(text: str) -> tuple[str, str]:
    """Return host and namespace of what ``REGISTRY`` says.

    >>> split_registry("registry.example.org:5000/team/servers")
    ('registry.example.org:5000', 'team/servers')

    Raises:
        ValueError: It is not a host with an optional namespace.
    """
    host, _, namespace = text.strip().rstrip("/").partition("/")
    if not _HOST.fullmatch(host):
        raise ValueError(
            "must be host[:port][/namespace] without a scheme, such as registry.example.org/team"
        )
    if namespace and not _NAMESPACE.fullmatch(namespace):
        raise ValueError(
            "the namespace may have small letters, digits, and . _ - between them, in parts joined by /"
        )
    return host, namespace
