"""Dockerfiles that a person wrote for a server instead of the generated one, or of the repository's own. Pure.

The generated one names things that change from build to build: the base image by its recipe, and the build by which a package
without version is resolved anew. A taken-over one holds words in their places, and keeps working when these change.
"""

import re
from unicodedata import category

from appliance.builds.own_dockerfile import parse
from appliance.core.errors import InvalidError

MAX_BYTES = 64 * 1024
FIELD = "dockerfile"
#: Stands for the base image of this version and platform, with any tag or none.
BASE = "mcp-host/base"
_FROM_BASE = re.compile(
    rf"^(\s*FROM\s+(?:--\S+\s+)*){BASE}(?::[\w.-]*)?(?=\s|$)",
    re.IGNORECASE | re.MULTILINE,
)
_RESOLVED_FOR = re.compile(
    r"^(\s*ARG\s+MCP_HOST_RESOLVED_FOR)(?:=\S*)?[ \t]*$", re.MULTILINE
)


def check(text: str) -> str:
    """Return ``text`` as it is kept: with plain line ends, ending in one.

    Raises:
        InvalidError: It is too large, not text, or no Dockerfile.
    """
    plain = text.replace("\r\n", "\n").strip("\n") + "\n"
    if len(plain.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise InvalidError.field(FIELD, f"give at most {MAX_BYTES // 1024} KiB")
    if any(category(letter) in {"Cc", "Cs"} for letter in set(plain) - {"\n", "\t"}):
        raise InvalidError.field(
            FIELD, "give text: it holds control characters, or is not UTF-8"
        )
    if parse(plain).final is None:
        raise InvalidError.field(FIELD, f"begin with FROM, such as FROM {BASE}")
    return plain


def portable(built: str) -> str:
    """Return a generated Dockerfile as one to be edited."""
    return _RESOLVED_FOR.sub(r"\1", _FROM_BASE.sub(rf"\g<1>{BASE}", built))


def names_base(text: str) -> bool:
    """Return whether it builds on the base image."""
    return _FROM_BASE.search(text) is not None


def adapted(text: str, *, base: str, resolved_for: str) -> str:
    """Return a taken-over Dockerfile as it is built now."""
    with_base = _FROM_BASE.sub(lambda match: f"{match[1]}{base}", text)
    return _RESOLVED_FOR.sub(lambda match: f"{match[1]}={resolved_for}", with_base)
