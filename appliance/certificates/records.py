"""DNS records for dns-01, by RFC 2136: signed updates to the server of the zone. Blocking; dnspython is loaded at first use."""

import socket
from dataclasses import dataclass
from typing import Any

from appliance.certificates.errors import AttemptError
from appliance.certificates.model import ErrorKind

#: Seconds for one question or update.
_PATIENCE_S = 10.0
_TTL_S = 60
_PORT = 53


@dataclass(frozen=True)
class DnsServer:
    """A server that takes updates, and by which key.

    Args:
        address: ``host`` or ``host:port``.
        zone: What is updated; empty: found by asking.
        key_name: Empty: updates are not signed.
    """

    address: str
    zone: str = ""
    key_name: str = ""
    key_secret: str = ""
    algorithm: str = "hmac-sha256"

    def __repr__(self) -> str:
        """Return it without its key."""
        return f"DnsServer({self.address!r}, {self.zone!r})"

    def add(self, name: str, value: str) -> None:
        """Let ``name`` have a TXT record of ``value``, beside others that it has.

        Raises:
            AttemptError: The server does not take it.
        """
        self._update(name, value, adds=True)

    def remove(self, name: str, value: str) -> None:
        """Take that record away again; one that is not there is no error.

        Raises:
            AttemptError: The server does not take it.
        """
        self._update(name, value, adds=False)

    def _update(self, name: str, value: str, *, adds: bool) -> None:
        from dns import name as names  # noqa: PLC0415 - the only thing that needs it
        from dns import query, rcode  # noqa: PLC0415 - as above
        from dns.exception import DNSException  # noqa: PLC0415 - as above
        from dns.update import UpdateMessage  # noqa: PLC0415 - as above

        try:
            where, port = self._place()
            zone = names.from_text(self.zone or self._zone_of(name, where, port))
            label = names.from_text(name).relativize(zone)
            key = names.from_text(self.key_name) if self.key_name else None
            update = UpdateMessage(zone, keyring=self._keyring(), keyname=key, keyalgorithm=self.algorithm)  # fmt: skip
            if adds:
                update.add(label, _TTL_S, "TXT", f'"{value}"')
            else:
                update.delete(label, "TXT", f'"{value}"')
            answer = query.tcp(update, where, timeout=_PATIENCE_S, port=port)
        except (DNSException, OSError, ValueError) as error:
            raise self._failed(str(error) or type(error).__name__) from error
        if answer.rcode() != rcode.NOERROR:
            raise self._failed(f"it answers {rcode.to_text(answer.rcode())}")

    def _keyring(self) -> Any:
        from dns import tsigkeyring  # noqa: PLC0415 - as above

        if not self.key_name:
            return None
        return tsigkeyring.from_text({self.key_name: self.key_secret})

    def _place(self) -> tuple[str, int]:
        host, colon, port = self.address.rpartition(":")
        if not colon or port.endswith("]"):
            host, port = self.address, str(_PORT)
        found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
        return str(found[0][4][0]), int(port)

    def _zone_of(self, name: str, where: str, port: int) -> str:
        from dns.resolver import (  # noqa: PLC0415 - as above
            Resolver,
            zone_for_name,
        )

        asked = Resolver(configure=False)
        asked.nameservers = [where]
        asked.port = port
        asked.lifetime = _PATIENCE_S
        return str(zone_for_name(name, resolver=asked))

    def _failed(self, why: str) -> AttemptError:
        return AttemptError(
            ErrorKind.DNS_UPDATE,
            f"The DNS server {self.address} does not take the record: {why}.",
        )
