"""The names of servers, for those who may see or change them."""

import asyncio
import secrets
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from appliance.accounts.access import require_administer, sight
from appliance.accounts.model import Principal
from appliance.core.clock import now
from appliance.domains import store
from appliance.domains.errors import (
    DomainExistsError,
    DomainNotFoundError,
    DomainTakenError,
    FrontDoorOffError,
    TooManyDomainsError,
)
from appliance.domains.model import CertificateKind, Domain, Proof, Record, Status
from appliance.domains.names import BoxNames, host_of
from appliance.domains.ownership import records
from appliance.domains.redirects import require_unused, target_of
from appliance.infra.database import Database
from appliance.observability import audit

#: More would be a directory, and each is looked at and certified.
PER_SERVER = 50
_CHALLENGE_BYTES = 20
_CHALLENGE_PREFIX = "mcp-host="


@dataclass(frozen=True)
class Holder:
    """A server whose names they are."""

    server_id: int
    server_name: str
    #: A person's number, or an organisation's below zero.
    owner: int


class Find(Protocol):
    """Finds a server for somebody; runs inside ``database.run``, and raises what they are told who may not."""

    def __call__(self, principal: Principal, server: int | str) -> Holder:
        """Return it."""
        ...


@dataclass(frozen=True)
class DomainView:
    """A domain, and what has to be set for it."""

    domain: Domain
    records: Sequence[Record]
    #: Where clients reach the server; empty: a wildcard has no one address.
    url: str


@dataclass(frozen=True)
class Wish:
    """What is to become of a domain."""

    redirect_to: str | None
    #: ``None``: as it is.
    certificate_kind: CertificateKind | None = None


class DomainService:
    """Adds, changes and removes domains; what is wanted of DNS is looked at elsewhere (``Checker``).

    Args:
        database: Where they are.
        seen: Finds a server that a principal may see.
        changed: Finds a server that a principal may change.
        box: Names that are the box's own.
        expected: Returns where names have to point; blocking, but short.
        is_open: Whether there is a front door, which serves them.
        port: That it listens on.
    """

    def __init__(  # noqa: PLR0913 - each is what the room does not know
        self,
        database: Database,
        *,
        seen: Find,
        changed: Find,
        box: BoxNames,
        expected: Callable[[], Collection[str]],
        is_open: bool,
        port: int,
    ) -> None:
        """Keep what it works with."""
        self._database = database
        self._seen = seen
        self._changed = changed
        self._box = box
        self._expected = expected
        self._port = "" if port == _HTTPS else f":{port}"
        #: Whether there is a front door, which serves them.
        self.is_open = is_open

    @property
    def base(self) -> str:
        """Below what name each server has one; empty: there is none."""
        return self._box.base if self.is_open else ""

    def url_of(self, host: str) -> str:
        """Return the endpoint that clients are told of under a name."""
        return f"https://{host}{self._port}/mcp"

    def urls_of(self, servers: Collection[str]) -> dict[str, str]:
        """Return by server the endpoint under its own first name, for those that have one; runs inside ``database.run``."""
        if not self.is_open or not servers:
            return {}
        found = store.first_names(servers)
        return {server: self.url_of(host) for server, host in found.items()}

    # -- reading

    async def all(
        self, principal: Principal, *, limit: int, after: int = 0
    ) -> list[DomainView]:
        """Return what somebody may see of all servers' domains, oldest first, beginning after a number."""
        shown = sight(principal)
        found = await self._database.run(store.seen, shown, limit=limit, after=after)
        return await self._views(found)

    async def of_server(
        self, principal: Principal, server: int | str
    ) -> list[DomainView]:
        """Return a server's domains, oldest first.

        Raises:
            ServerNotFoundError: There is none that the principal may know of.
        """

        def read() -> list[Domain]:
            return store.of_server(self._seen(principal, server).server_id)

        return await self._views(await self._database.run(read))

    async def get(
        self, principal: Principal, server: int | str, domain_id: int
    ) -> DomainView:
        """Return one of a server's domains.

        Raises:
            ServerNotFoundError: There is no server that the principal may know of.
            DomainNotFoundError: It has no such domain.
        """

        def read() -> Domain:
            return _of(self._seen(principal, server), domain_id)

        return await self._view(await self._database.run(read))

    # -- writing

    async def add(
        self,
        principal: Principal,
        server: int | str,
        typed: str,
        *,
        is_trusted: bool = False,
    ) -> DomainView:
        """Claim a name for a server.

        Args:
            principal: Who claims it.
            server: For which.
            typed: The name, as a person writes it.
            is_trusted: Whether an administrator answers for it, so that DNS is not asked.

        Raises:
            ServerNotFoundError: There is no server that the principal may know of.
            NotAllowedError: They may not change it, or not answer for names.
            InvalidDomainError: The name cannot be a domain.
            DomainExistsError: The server has it already.
            DomainTakenError: It is used by another server.
            TooManyDomainsError: The server has as many as one may have.
            FrontDoorOffError: Nothing here serves domains.
        """

        def write() -> Domain:
            holder = self._changed(principal, server)
            if is_trusted:
                require_administer(principal)
            self._require_open()
            host = host_of(typed, self._box)
            _require_free(holder, host)
            found = store.add(
                holder.server_id,
                host,
                challenge=f"{_CHALLENGE_PREFIX}{secrets.token_hex(_CHALLENGE_BYTES)}",
                because=store.txt_because(host, holder.owner),
                created_by=principal.name,
            )
            if is_trusted:
                found = store.verify(found, Proof.ADMIN, next_check_at=None)
            _record(principal, "domain.add", found, after=_told(found))
            return found

        return await self._view(await self._database.run(write))

    async def change(
        self, principal: Principal, server: int | str, domain_id: int, wish: Wish
    ) -> DomainView:
        """Have a domain send its visitors on, or serve them again, or have another kind of certificate.

        Raises:
            DomainNotFoundError: The server has no such domain.
            InvalidDomainError: They may not be sent there.
        """

        def write() -> Domain:
            holder = self._changed(principal, server)
            domain = _of(holder, domain_id, locked=True)
            target = wish.redirect_to
            if target:
                names = store.of_server(holder.server_id)
                target = target_of(domain, host_of(target, self._box), names)
            kind = wish.certificate_kind or domain.certificate_kind
            found = store.change(
                domain.id, redirect_to=target or None, certificate_kind=kind.value
            )
            _record(principal, "domain.change", found, before=_told(domain), after=_told(found))  # fmt: skip
            return found

        return await self._view(await self._database.run(write))

    async def check(
        self, principal: Principal, server: int | str, domain_id: int
    ) -> DomainView:
        """Have a domain looked at now.

        Raises:
            DomainNotFoundError: The server has no such domain.
            FrontDoorOffError: Nothing here looks at domains.
        """

        def write() -> Domain:
            domain = _of(self._changed(principal, server), domain_id, locked=True)
            self._require_open()
            status = domain.status if domain.is_verified else Status.PENDING
            found = store.change(
                domain.id, next_check_at=now(), checks=0, status=status.value
            )
            _record(principal, "domain.check", found)
            return found

        return await self._view(await self._database.run(write))

    async def remove(
        self, principal: Principal, server: int | str, domain_id: int
    ) -> None:
        """Give a name up; it is served no more.

        Raises:
            DomainNotFoundError: The server has no such domain.
            DomainInUseError: Another name sends its visitors there.
        """

        def write() -> None:
            holder = self._changed(principal, server)
            domain = _of(holder, domain_id, locked=True)
            require_unused(domain, store.of_server(holder.server_id))
            store.remove(domain)
            _record(principal, "domain.remove", domain, before=_told(domain))

        await self._database.run(write)

    # -- inside

    def _require_open(self) -> None:
        if not self.is_open:
            raise FrontDoorOffError(
                "This box has no front door, so nothing would serve a domain.",
                hint="An administrator sets PROXY_ENABLED=true.",
            )

    async def _view(self, domain: Domain) -> DomainView:
        return (await self._views([domain]))[0]

    async def _views(self, domains: Sequence[Domain]) -> list[DomainView]:
        expected = await asyncio.to_thread(self._expected)
        return [
            DomainView(
                item,
                records(item, expected),
                "" if item.is_wildcard else self.url_of(item.host),
            )
            for item in domains
        ]


_HTTPS = 443


def _of(holder: Holder, domain_id: int, *, locked: bool = False) -> Domain:
    found = store.find(domain_id, locked=locked)
    if found is None or found.server_id != holder.server_id:
        raise DomainNotFoundError(
            f"{holder.server_name} has no domain with the number {domain_id}."
        )
    return found


def _require_free(holder: Holder, host: str) -> None:
    names = store.of_server(holder.server_id)
    if any(item.host == host for item in names):
        raise DomainExistsError(f"{holder.server_name} has {host} already.")
    if len(names) >= PER_SERVER:
        raise TooManyDomainsError(f"A server may have {PER_SERVER} domains; {holder.server_name} has.")  # fmt: skip
    other = store.verified(host)
    if other is not None:
        is_own = other.owner == holder.owner
        raise DomainTakenError(
            f"{host} is used by another server of this box.",
            hint=f"It is {other.server_name}: remove it there first."
            if is_own
            else "If the name is yours, ask an administrator of this box.",
        )


def _told(domain: Domain) -> dict[str, Any]:
    return {
        "server": domain.server_name,
        "redirect_to": domain.redirect_to,
        "certificate_kind": domain.certificate_kind.value,
        "verified_by": domain.verified_by.value if domain.verified_by else None,
    }


def _record(
    principal: Principal,
    action: str,
    domain: Domain,
    *,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> None:
    audit.record(
        principal,
        action,
        object_type="domain",
        object_id=domain.id,
        object_name=domain.host,
        details={"server": domain.server_name},
        before=before,
        after=after,
    )
