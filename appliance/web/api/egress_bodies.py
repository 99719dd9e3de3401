"""How where a server may go is said and answered in JSON."""

from collections.abc import Sequence
from datetime import datetime
from typing import Self

from pydantic import Field

from appliance.core.egress import MAX_HOSTS, EgressMode, EgressPolicy
from appliance.servers.egress.model import Attempt, ServerEgress
from appliance.web.api.answer import Answer
from appliance.web.parsing import Input

_HOSTS = "`host:port` each, such as `api.example.com:443`, `*.example.com:443` or `192.0.2.1:5432`."


class EgressBody(Input):
    """Where a server may go."""

    mode: EgressMode = Field(
        EgressPolicy.mode,
        description=(
            "`none`: nowhere; `allow-list`: to `hosts`; `open`: to every public address. "
            "Another server, this appliance and the metadata address are never reached."
        ),
    )
    hosts: list[str] = Field(
        [], description=_HOSTS, json_schema_extra={"maxItems": MAX_HOSTS}
    )
    private: list[str] = Field(
        [],
        description="Those of `hosts` that may lead to a private address; only administrators say so.",
    )
    learn: bool = Field(
        EgressPolicy.learn,
        description="Whether names that are not allowed have an address, so that denied attempts show their port.",
    )

    def policy(self) -> EgressPolicy:
        """Return it; the service checks its values."""
        return EgressPolicy(
            mode=self.mode,
            hosts=tuple(dict.fromkeys(host.strip().lower() for host in self.hosts)),
            private=tuple(dict.fromkeys(host.strip().lower() for host in self.private)),
            learn=self.learn,
        )


class AllowBody(Input):
    """What is added to what a server may reach."""

    hosts: list[str] = Field(
        [], description=f"{_HOSTS} None: everything that was proposed."
    )
    private: bool = Field(
        default=False,
        description="Whether they may lead to private addresses; only administrators say so.",
    )


class DeclaredAnswer(Answer):
    """A destination that the server seems to need."""

    host: str
    why: str = Field(description="Where that was found.")


class EgressAnswer(Answer):
    """Where a server may go."""

    mode: EgressMode
    hosts: Sequence[str] = Field(description="What counts, services' addresses too.")
    private: Sequence[str]
    learn: bool
    is_chosen: bool = Field(
        description="Whether somebody chose; else it is what servers of its kind of source get."
    )
    declared: Sequence[DeclaredAnswer]
    services: Sequence[str] = Field(description="Of its service integrations.")
    enforced: bool = Field(description="Whether this box holds servers to it.")
    problem: str = Field(description="What is missing for that; else empty.")

    @classmethod
    def of(cls, found: ServerEgress) -> Self:
        """Return ``found`` as it is answered."""
        policy = found.policy
        return cls(
            mode=policy.mode,
            hosts=policy.hosts,
            private=policy.private,
            learn=policy.learn,
            is_chosen=found.is_chosen,
            declared=[
                DeclaredAnswer(host=host, why=why)
                for host, why in found.declared.items()
            ],
            services=found.services,
            enforced=found.enforcement.enforced,
            problem=found.enforcement.problem,
        )


class AttemptAnswer(Answer):
    """Where a server went, or was kept from going."""

    destination: str = Field(
        description="As it named it: a name, or an address; `*.` before a domain of which it asked many names."
    )
    port: int = Field(
        description="0: the protocol has none, or it only asked for the name."
    )
    protocol: str = Field(
        description="`tcp`, `udp`, `icmp`, …; `dns`: it only asked for the name."
    )
    reason: str = Field(description="Why it was denied last.")
    attempts: int
    bytes_sent: int
    bytes_received: int
    first_at: datetime
    last_at: datetime

    @classmethod
    def of(cls, item: Attempt) -> Self:
        """Return ``item`` as it is answered."""
        return cls.model_validate(item, from_attributes=True)


class DeniedAnswer(Answer):
    """What a server was denied."""

    items: Sequence[AttemptAnswer] = Field(description="The latest first.")
    proposed: Sequence[str] = Field(description="`host:port` that would allow it.")


class UsedAnswer(Answer):
    """Where a server went."""

    items: Sequence[AttemptAnswer] = Field(description="The latest first.")
