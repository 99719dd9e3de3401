"""Packages as people write them: ``pypi:name==1.0``, ``npm:@scope/name@1.2``. Pure."""

import re
from dataclasses import replace
from datetime import date

from appliance.core.errors import InvalidError
from appliance.sources.model import Ecosystem, PackageSource

_PYPI_NAME = re.compile(
    r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,126}[A-Za-z0-9])?(?:\[[A-Za-z0-9._,-]{1,128}\])?"
)
# PEP 440 without the forms that only exist for reading old packages.
_PYPI_VERSION = re.compile(
    r"(?:\d+!)?\d+(?:\.\d+)*(?:(?:a|b|rc)\d+)?(?:\.post\d+)?(?:\.dev\d+)?(?:\+[A-Za-z0-9.]+)?"
)
_NPM_NAME = re.compile(
    r"(?:@[a-z0-9~][a-z0-9._~-]*/)?[a-z0-9~][a-z0-9._~-]*"
)  # a leading hyphen would be an option
# An exact version, a partial one (1.2), or a tag of the registry such as "next".
_NPM_VERSION = re.compile(
    r"\d+(?:\.\d+){0,2}(?:-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?|[a-z][a-z0-9._-]{0,63}"
)
_MAX_NPM_NAME = 214
FIRST_YEAR, LAST_YEAR = 1990, 2999


def package_text(source: PackageSource) -> str:
    """Return the package as a person writes it: ``pypi:name==1.0``, ``npm:@scope/name@1.2``."""
    between = "==" if source.ecosystem is Ecosystem.PYPI else "@"
    return f"{source.ecosystem}:{source.name}" + (
        f"{between}{source.version}" if source.version else ""
    )


def parse_package(text: str, as_of: str | None = None) -> PackageSource:
    """Return the package that ``pypi:name==1.0`` or ``npm:@scope/name@1.2`` names.

    Args:
        text: The package.
        as_of: The day as of which it is resolved, ``2025-05-01``.

    Raises:
        InvalidError: One of them is not so; names ``source.package`` or ``source.as_of``.
    """
    return replace(_package(text), as_of=_day(as_of) if as_of else None)


def _day(text: str) -> date:
    try:
        found = date.fromisoformat(text.strip())
    except ValueError:
        found = date.min
    # Neither registry existed before, and a calendar's last day has no next one.
    if not FIRST_YEAR <= found.year <= LAST_YEAR:
        raise InvalidError.field(
            "source.as_of", f"{text!r} is not a day, such as 2025-05-01"
        )
    return found


def _package(text: str) -> PackageSource:
    ecosystem, _, rest = text.partition(":")
    match ecosystem.strip().lower():
        case "pypi":
            return _pypi(rest.strip())
        case "npm":
            return _npm(rest.strip())
        case _:
            raise InvalidError.field(
                "source.package",
                "say which registry it is in: pypi:name, pypi:name==1.0, npm:name or npm:@scope/name@1.2",
            )


def _pypi(text: str) -> PackageSource:
    name, separator, version = text.partition("==")
    if not separator:
        # People write name@1.0 as uvx does; PyPI names have no @, so it can mean
        # nothing else.
        name, separator, version = text.partition("@")
    name, version = name.strip(), version.strip()
    if not _PYPI_NAME.fullmatch(name):
        raise InvalidError.field(
            "source.package",
            f"{name!r} is not a PyPI package name, such as pypi:mcp-server-time",
        )
    if separator and version != "latest" and not _PYPI_VERSION.fullmatch(version):
        raise InvalidError.field(
            "source.package",
            f"{version!r} is not an exact version, such as pypi:{name}==1.2.3",
        )
    return PackageSource(
        Ecosystem.PYPI, name, None if version in {"", "latest"} else version
    )


def _npm(text: str) -> PackageSource:
    # The first @ belongs to the scope.
    at = text.find("@", 1)
    name, version = (text, "") if at < 0 else (text[:at], text[at + 1 :])
    if not _NPM_NAME.fullmatch(name) or len(name) > _MAX_NPM_NAME:
        raise InvalidError.field(
            "source.package",
            f"{name!r} is not an npm package name, such as npm:@modelcontextprotocol/server-memory",
        )
    if at >= 0 and not _NPM_VERSION.fullmatch(version):
        raise InvalidError.field(
            "source.package",
            f"{version!r} is not a version or tag, such as npm:{name}@1.2.3",
        )
    return PackageSource(
        Ecosystem.NPM, name, None if version in {"", "latest"} else version
    )
