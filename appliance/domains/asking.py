"""Asks DNS what it says of a name."""

import asyncio
from collections.abc import Sequence

import dns.asyncresolver
import dns.exception
import dns.nameserver
import dns.rdatatype
import dns.resolver

from appliance.domains.model import WILDCARD, challenge_name
from appliance.domains.ownership import Answers

#: For one question, however many resolvers are tried.
WITHIN_S = 5.0
#: Any name below a wildcard says where all of them lead.
_SOME_NAME = "mcp-host-check"


class Asker:
    """Asks resolvers.

    Args:
        resolvers: Addresses and ports; none: those of this box.
    """

    def __init__(self, resolvers: Sequence[tuple[str, int]] = ()) -> None:
        """Ask nobody yet."""
        self._resolver = dns.asyncresolver.Resolver(configure=not resolvers)
        if resolvers:
            self._resolver.nameservers = [
                dns.nameserver.Do53Nameserver(address, port)
                for address, port in resolvers
            ]
        self._resolver.lifetime = WITHIN_S

    async def ask(self, host: str) -> Answers:
        """Return what is said of a host, or of a wildcard."""
        name = host
        if host.startswith(WILDCARD):
            name = f"{_SOME_NAME}.{host.removeprefix(WILDCARD)}"
        kinds = ((name, "A"), (name, "AAAA"), (challenge_name(host), "TXT"))
        found = await asyncio.gather(*(self._one(*item) for item in kinds))
        addresses = [*found[0].values, *found[1].values]
        aliases = found[0].aliases or found[1].aliases
        problems = [item.problem for item in found if item.problem]
        return Answers(
            addresses=tuple(
                sorted(set(addresses), key=lambda item: (":" in item, item))
            ),
            aliases=tuple(aliases),
            texts=tuple(found[2].values),
            problem=problems[0] if problems else "",
        )

    async def _one(self, name: str, kind: str) -> "_Found":
        try:
            answer = await self._resolver.resolve(name, kind, raise_on_no_answer=False)
        except dns.resolver.NXDOMAIN:
            return _Found()
        except dns.resolver.NoNameservers:
            return _Found(problem=f"no resolver could answer for {name}")
        except dns.exception.Timeout:
            return _Found(problem=f"no resolver answered within {WITHIN_S:g} s")
        except (dns.exception.DNSException, OSError) as error:
            return _Found(problem=f"{type(error).__name__} for {name}")
        aliases = [
            item.target.to_text(omit_final_dot=True).lower()
            for rrset in answer.chaining_result.cnames
            for item in rrset
        ]
        return _Found([_text(item) for item in answer.rrset or ()], aliases)


class _Found:
    """What came of one question."""

    def __init__(
        self,
        values: Sequence[str] = (),
        aliases: Sequence[str] = (),
        *,
        problem: str = "",
    ) -> None:
        self.values = values
        self.aliases = aliases
        self.problem = problem


def _text(item: object) -> str:
    if getattr(item, "rdtype", None) == dns.rdatatype.TXT:
        strings: Sequence[bytes] = getattr(item, "strings", ())
        return b"".join(strings).decode("utf-8", "replace").strip()
    return str(getattr(item, "address", ""))
