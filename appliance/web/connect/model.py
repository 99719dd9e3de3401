"""What a snippet is made of, and what it is. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

#: Stands where the endpoint key goes: it is stored hashed, so nobody can fill it in later.
KEY_PLACEHOLDER = "YOUR_KEY"


@dataclass(frozen=True)
class Endpoint:
    """What a client must be told."""

    #: What the client shall call it.
    name: str
    url: str
    #: The key when it is at hand (just created), else the placeholder.
    key: str

    @property
    def authorization(self) -> str:
        """The header's value."""
        return f"Bearer {self.key}"

    @property
    def headers(self) -> dict[str, str]:
        """The headers that every request carries."""
        return {"Authorization": self.authorization}

    @property
    def has_key(self) -> bool:
        """Whether the real key is at hand."""
        return self.key != KEY_PLACEHOLDER

    @property
    def is_plain_http_elsewhere(self) -> bool:
        """Whether it is reached over http on another machine, which some clients refuse unless told."""
        parts = urlsplit(self.url)
        return parts.scheme == "http" and not _is_loopback(parts.hostname or "")


@dataclass(frozen=True)
class ClientConfig:
    """One client's way of being told of an endpoint."""

    client: str
    title: str
    #: Where the text goes: a file, or ``shell``.
    file: str
    #: ``json``, ``toml``, ``yaml``, ``python`` or ``shell``.
    language: str
    text: str
    #: Opens the client and adds the server there; empty where the client has no such link.
    link: str = ""
    #: What the client's user should know besides.
    note: str = ""


@dataclass(frozen=True)
class Client:
    """A client whose configuration is known."""

    name: str
    title: str
    file: str
    language: str
    render: Callable[[Endpoint], str]
    link: Callable[[Endpoint], str] | None = None
    note: str = ""

    def config(self, endpoint: Endpoint) -> ClientConfig:
        """Return what the client is told of ``endpoint``."""
        return ClientConfig(
            client=self.name,
            title=self.title,
            file=self.file,
            language=self.language,
            text=self.render(endpoint),
            link=self.link(endpoint) if self.link else "",
            note=self.note,
        )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
