"""Reading the lists of packages that an image carries. Pure: text in, packages out.

Every text is a stranger's: what cannot be read is left out, what is long is cut, nothing is run.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from email.parser import HeaderParser
from typing import Any

from appliance.evidence.purl import npm_purl, pypi_purl, system_purl

#: Characters of a name, version or licence that are kept.
MAX_TEXT = 300
#: Licences of one package that are kept.
MAX_LICENCES = 20
_EXPRESSION = re.compile(
    r"\(*[A-Za-z0-9][A-Za-z0-9.+-]*\)*( (AND|OR|WITH) \(*[A-Za-z0-9][A-Za-z0-9.+-]*\)*)*"
)
_CLASSIFIER = "License :: "


@dataclass(frozen=True)
class Package:
    """Something that was installed."""

    name: str
    version: str
    purl: str
    #: As its own list says: SPDX expressions where they are such, words otherwise.
    licences: tuple[str, ...] = ()
    #: Where in the image it is said, without a leading slash.
    found_in: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return it as the scanner hands it over."""
        return asdict(self)

    @classmethod
    def of_json(cls, data: Mapping[str, Any]) -> "Package":
        """Return what ``as_json`` gave."""
        return cls(**{**data, "licences": tuple(data["licences"])})


@dataclass(frozen=True)
class Distribution:
    """Which distribution an image is made from."""

    #: As ``/etc/os-release`` has it: ``debian``, ``alpine``.
    id: str = "linux"
    version: str = ""
    title: str = ""

    @property
    def qualifier(self) -> str:
        """How package URLs name it: ``debian-13``."""
        return f"{self.id}-{self.version}" if self.version else self.id


def is_expression(text: str) -> bool:
    """Tell whether ``text`` has the form of an SPDX licence expression.

    >>> is_expression("MIT OR Apache-2.0"), is_expression("see LICENSE file")
    (True, False)
    """
    return _EXPRESSION.fullmatch(text) is not None


def parse_os_release(text: str) -> Distribution:
    """Return what ``/etc/os-release`` says."""
    values = {}
    for line in text.splitlines():
        name, equals, value = line.partition("=")
        if equals:
            values[name.strip()] = value.strip().strip("\"'")
    return Distribution(
        _short(values.get("ID", "")) or "linux",
        _short(values.get("VERSION_ID", "")),
        _short(values.get("PRETTY_NAME", "")),
    )


def parse_dpkg(text: str, distribution: Distribution, found_in: str) -> list[Package]:
    """Return the packages of a ``dpkg`` status file that are installed."""
    found = []
    for fields in _paragraphs(text):
        name, version = fields.get("package", ""), fields.get("version", "")
        # A distroless image's fragments carry no status.
        is_there = fields.get("status", "install ok installed").endswith(" installed")
        if name and version and is_there:
            purl = system_purl(
                "deb",
                distribution.id,
                name,
                version,
                arch=fields.get("architecture", ""),
                distro=distribution.qualifier,
            )
            found.append(Package(name, version, purl, (), found_in))
    return found


def parse_apk(text: str, distribution: Distribution, found_in: str) -> list[Package]:
    """Return the packages of Alpine's database of installed ones."""
    found = []
    for block in text.split("\n\n"):
        fields = dict(line.split(":", 1) for line in block.splitlines() if ":" in line)
        name, version = _short(fields.get("P", "")), _short(fields.get("V", ""))
        if name and version:
            purl = system_purl(
                "apk",
                distribution.id,
                name,
                version,
                arch=_short(fields.get("A", "")),
                distro=distribution.qualifier,
            )
            found.append(
                Package(name, version, purl, _licences(fields.get("L", "")), found_in)
            )
    return found


def parse_copyright(text: str) -> tuple[str, ...]:
    """Return the licences that a machine-readable Debian copyright file names; none for any other."""
    if not text.startswith("Format:"):
        return ()
    names = (
        _short(line.partition(":")[2])
        for line in text.splitlines()
        if line.startswith("License:")
    )
    return tuple(dict.fromkeys(name for name in names if name))[:MAX_LICENCES]


def parse_python(text: str, found_in: str) -> Package | None:
    """Return the distribution that a ``METADATA`` or ``PKG-INFO`` tells of."""
    said = HeaderParser().parsestr(text)
    name, version = _short(str(said["Name"] or "")), _short(str(said["Version"] or ""))
    if not name or not version:
        return None
    return Package(
        name, version, pypi_purl(name, version), _python_licences(said), found_in
    )


def _python_licences(said: Any) -> tuple[str, ...]:
    if expression := said["License-Expression"]:
        return _licences(str(expression))
    # The older field often holds the licence's whole text; one line of it is a name.
    licence = str(said["License"] or "").strip()
    if licence and "\n" not in licence and licence != "UNKNOWN":
        return _licences(licence)
    classifiers = (str(item) for item in said.get_all("Classifier") or ())
    names = (
        item.rpartition(" :: ")[2]
        for item in classifiers
        if item.startswith(_CLASSIFIER)
    )
    return tuple(_short(name) for name in names if name)[:MAX_LICENCES]


def parse_node(text: str, found_in: str) -> Package | None:
    """Return the package that a ``package.json`` tells of."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(data, dict):
        return None
    name, version = data.get("name"), data.get("version")
    if not (isinstance(name, str) and isinstance(version, str) and name and version):
        return None
    name, version = _short(name), _short(version)
    licence = data.get("license")
    if isinstance(licence, dict):  # as npm packages had it long ago
        licence = licence.get("type")
    licences = _licences(licence) if isinstance(licence, str) else ()
    return Package(name, version, npm_purl(name, version), licences, found_in)


def _paragraphs(text: str) -> Iterator[dict[str, str]]:
    """Yield the paragraphs of a Debian control file; of folded fields, the first line."""
    fields: dict[str, str] = {}
    for line in text.splitlines():
        if not line.strip():
            if fields:
                yield fields
            fields = {}
        elif not line[0].isspace():
            name, colon, value = line.partition(":")
            if colon:
                fields[name.lower()] = _short(value)
    if fields:
        yield fields


def _licences(text: str) -> tuple[str, ...]:
    short = _short(text)
    return (short,) if short else ()


def _short(text: str) -> str:
    """Return ``text`` on one line, without what no terminal should get, and not too long."""
    kept = "".join(char if char.isprintable() else " " for char in text[: 4 * MAX_TEXT])
    return " ".join(kept.split())[:MAX_TEXT]
