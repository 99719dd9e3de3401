"""Which names may be domains, and how they are written. Pure."""

import ipaddress
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

import idna

from appliance.core.front_door import is_host_name
from appliance.domains.errors import InvalidDomainError
from appliance.domains.model import WILDCARD, challenge_name

FIELD: Final = "host"
_MAX_NAME: Final = 253
_MAX_LABEL: Final = 63
#: Nobody can show that these are theirs, and no certificate authority knows them.
_NOBODYS: Final = frozenset({"localhost", "invalid", "onion", "arpa", "alt"})
#: Under the two letters of a country, where it registers names for others: such a name is nobody's alone.
_REGISTRIES: Final = re.compile(r"(?:co|com|net|org|gov|edu|ac)\.[a-z]{2}")


@dataclass(frozen=True)
class BoxNames:
    """Names that are the box's own."""

    names: Collection[str]
    #: Each server has one right below it; empty: there is none.
    base: str = ""


def host_of(typed: str, box: BoxNames) -> str:
    """Return a name as DNS has it.

    Args:
        typed: As a person wrote it; international names in their own letters or as A-labels.
        box: What nobody may have.

    Raises:
        InvalidDomainError: It cannot be a domain; one sentence says why.
    """
    text = typed.strip()
    _refuse_what_is_no_name(text)
    is_wildcard = text.startswith(WILDCARD)
    name = text.removeprefix(WILDCARD)
    if "*" in name:
        raise _wrong("a star may only stand for the whole first label, as in *.example.org")  # fmt: skip
    found = _in_dns(name)
    _refuse_nobodys(found, is_wildcard=is_wildcard)
    _refuse_the_boxes(found, box, is_wildcard=is_wildcard)
    host = f"{WILDCARD}{found}" if is_wildcard else found
    if len(challenge_name(host)) > _MAX_NAME:
        raise _wrong("the name is too long: with _mcp-host. before it, it may have 253 characters")  # fmt: skip
    return host


def shown(host: str) -> str:
    """Return a host as people read it, in its own letters."""
    labels = [_shown_label(label) for label in host.split(".")]
    return ".".join(labels)


def lies_below(host: str, parent: str) -> bool:
    """Return whether ``host`` is ``parent`` or lies below it."""
    return bool(parent) and (host == parent or host.endswith(f".{parent}"))


def wildcard_over(host: str) -> str:
    """Return the wildcard that ``host`` falls under; empty: it is one itself, or there can be none.

    >>> wildcard_over("a.example.org")
    '*.example.org'
    """
    parent = host.partition(".")[2]
    return "" if host.startswith(WILDCARD) or "." not in parent else WILDCARD + parent


def _shown_label(label: str) -> str:
    try:
        return idna.decode(label) if label.startswith("xn--") else label
    except idna.IDNAError:
        return label


def _refuse_what_is_no_name(text: str) -> None:
    """Tell apart what people paste instead of a name."""
    problems = (
        (not text, "is empty; give a name such as mcp.example.org"),
        (
            "://" in text,
            "leave out the scheme: the name alone, such as mcp.example.org",
        ),
        (
            any(sign in text for sign in "/?#@\\"),
            "leave out what stands around the name: no path, query or user",
        ),
        (
            _is_address(text),
            "is an IP address; a domain is a name, such as mcp.example.org",
        ),
        (":" in text, "leave out the port: domains are served where https is"),
        (text.endswith((".", "。")), "leave out the dot at its end"),
        ("_" in text, "has an underscore, which no name of a host may have"),
        (any(sign.isspace() for sign in text), "has a space in it; give one name"),
    )
    for is_so, problem in problems:
        if is_so:
            raise _wrong(problem)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        # 10.1, and others that some programs take for addresses.
        return bool(re.fullmatch(r"[0-9.]+", text))
    return True


def _in_dns(name: str) -> str:
    """Return a name in lower case and A-labels (IDNA 2008)."""
    if any(len(label) > _MAX_LABEL for label in name.split(".")):
        raise _wrong("has a label of more than 63 characters")
    try:
        found = idna.encode(name, uts46=True).decode().lower()
    except idna.IDNAError as error:
        raise _wrong(f"is no name that DNS knows: {_said(error)}") from error
    if not is_host_name(found):
        raise _wrong("is no name of a host: letters, digits and hyphens, with dots between")  # fmt: skip
    return found


def _said(error: idna.IDNAError) -> str:
    text = str(error).rstrip(".")
    return text[:1].lower() + text[1:] if text else "it breaks a rule of IDNA 2008"


def _refuse_nobodys(name: str, *, is_wildcard: bool) -> None:
    top = name.rpartition(".")[2]
    if "." not in name:
        what = "every name of a whole top-level domain" if is_wildcard else "one label"
        raise _wrong(f"is {what}; give a name of your own, such as mcp.example.org")
    if top in _NOBODYS:
        raise _wrong(f"ends in .{top}, where no name can be shown to be anybody's")
    if _REGISTRIES.fullmatch(name):
        raise _wrong(f"names are registered below {name}; it is nobody's own")


def _refuse_the_boxes(name: str, box: BoxNames, *, is_wildcard: bool) -> None:
    if name in box.names and not is_wildcard:
        raise _wrong(f"{name} is this box's own name")
    covered = [own for own in box.names if own.partition(".")[2] == name]
    if is_wildcard and covered:
        raise _wrong(f"would take in {covered[0]}, which is this box's own name")
    if lies_below(name, box.base):
        raise _wrong(f"{box.base} and the names below it belong to this box: each server has one there by itself")  # fmt: skip
    if is_wildcard and box.base.partition(".")[2] == name and box.base:
        raise _wrong(f"would take in {box.base}, which belongs to this box")


def _wrong(problem: str) -> InvalidDomainError:
    return InvalidDomainError(f"{FIELD}: {problem}.", fields={FIELD: problem})
