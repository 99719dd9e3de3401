"""What the front door and those who work for it agree on: names of hosts, and where their files lie. Pure.

Everything is below PROXY_DIR (``settings.proxy_dir``). Nginx reads a certificate when a client asks for its name, so a file
that is replaced counts from the next handshake on, and nothing is reloaded.
"""

import ipaddress
import re
from pathlib import Path

#: A label of a host's name, as DNS knows it: lower case, international names as A-labels.
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HOST_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_MAX_NAME = 253
#: RFC 8555 8.3: base64url, which cannot leave a directory.
_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,255}")

#: The box's own certificate: for its own names, addresses, and clients that name no host.
BOX = "default"
CERTIFICATES = "certificates"
CHALLENGES = "challenges"


def is_host_name(text: str) -> bool:
    """Return whether ``text`` is a host's name in lower case, and neither an address nor a wildcard.

    >>> [is_host_name(item) for item in ("mcp.example.org", "*.example.org", "10.0.0.1", "a/b")]
    [True, False, False, False]
    """
    if len(text) > _MAX_NAME or not _HOST_NAME.fullmatch(text):
        return False
    # A name's last label is never all digits; that is how browsers tell addresses.
    return not text.rpartition(".")[2].isdigit()


def is_wildcard(text: str) -> bool:
    """Return whether ``text`` is ``*.`` and a name of at least two labels.

    >>> [is_wildcard(item) for item in ("*.example.org", "*.org", "*.a.*.org")]
    [True, False, False]
    """
    rest = text.removeprefix("*.")
    return rest != text and "." in rest and is_host_name(rest)


def certificate_file(proxy_dir: Path, host: str) -> Path:
    """Return where the certificate and key of ``host`` lie, in one PEM file: the chain first, then the key.

    >>> certificate_file(Path("/p"), "*.example.org").name
    '_.example.org.pem'

    Args:
        host: A host's name, a wildcard, or ``BOX``.

    Raises:
        ValueError: It is none of these, so it names no file.
    """
    if host != BOX and not is_host_name(host) and not is_wildcard(host):
        raise ValueError(f"{host!r} is no host's name.")
    return proxy_dir / CERTIFICATES / f"{host.replace('*', '_', 1)}.pem"


def challenge_file(proxy_dir: Path, token: str) -> Path:
    """Return the file that answers ``/.well-known/acme-challenge/<token>`` on port 80, on every name.

    Raises:
        ValueError: No certificate authority gives such a token.
    """
    if not _TOKEN.fullmatch(token):
        raise ValueError("The token is not base64url.")
    return proxy_dir / CHALLENGES / token


def is_one_address(text: str) -> bool:
    """Return whether ``text`` is one address of this box, and neither loopback nor all of them.

    >>> [is_one_address(item) for item in ("10.0.0.5", "0.0.0.0", "127.0.0.1", "box")]
    [True, False, False, False]
    """
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return False
    return not (found.is_unspecified or found.is_loopback)


def listen_addresses(text: str) -> tuple[str, ...]:
    """Return the addresses in ``text``, with commas between, as Nginx writes them.

    >>> listen_addresses("0.0.0.0, [::]")
    ('0.0.0.0', '[::]')

    Raises:
        ValueError: One of them is none, or there is none; the text names it.
    """
    found = []
    for item in text.replace(",", " ").split():
        try:
            address = ipaddress.ip_address(item.strip("[]"))
        except ValueError as error:
            raise ValueError(
                f"{item!r} is no address; give such as 0.0.0.0 or [::1]"
            ) from error
        found.append(f"[{address}]" if address.version == 6 else str(address))  # noqa: PLR2004 - IPv6
    if not found:
        raise ValueError("must name an address, such as 0.0.0.0")
    return tuple(dict.fromkeys(found))
