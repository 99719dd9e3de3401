"""How a server's isolation is said and answered in JSON."""

from datetime import datetime
from typing import Any, Self

from pydantic import Field

from appliance.core.errors import InvalidError
from appliance.runtimes.isolation import (
    GPU,
    MAX_DATA_BYTES,
    MAX_FILES,
    MAX_PIDS,
    MEANINGS,
    MIN_DATA_BYTES,
    MIN_FILES,
    MIN_PIDS,
    Isolation,
    Relaxation,
    Tier,
    as_dict,
)
from appliance.servers.config import parse_memory
from appliance.servers.isolating.model import IsolationView, Limit
from appliance.web.api.answer import Answer
from appliance.web.parsing import Input


class IsolationBody(Input):
    """How far a server is kept apart, and what it may use besides CPU and memory."""

    tier: Tier = Field(
        Isolation.tier,
        description="`standard`: hardened containers; `sandboxed`: gVisor; `vm`: not available yet.",
    )
    pids: int = Field(
        Isolation.pids,
        description="Processes and threads together.",
        json_schema_extra={"minimum": MIN_PIDS, "maximum": MAX_PIDS},
    )
    files: int = Field(
        Isolation.files,
        description="Open files of one process.",
        json_schema_extra={"minimum": MIN_FILES, "maximum": MAX_FILES},
    )
    data_bytes: int | str | None = Field(
        None,
        description="What may lie in /data: bytes, or a size such as `2g`; absent: `SERVER_DATA_LIMIT_BYTES`.",
        json_schema_extra={"minimum": MIN_DATA_BYTES, "maximum": MAX_DATA_BYTES},
    )
    use_gpu: bool = Field(
        default=False, description="Whether it gets the box's GPUs; refused without."
    )
    relaxations: list[Relaxation] = Field(
        [],
        description="Hardening that is taken away, by administrators alone: "
        + "; ".join(f"`{item.value}`: {text}" for item, text in MEANINGS.items()),
        json_schema_extra={"uniqueItems": True},
    )

    def isolation(self) -> Isolation:
        """Return it; the service checks its values.

        Raises:
            InvalidError: A size is none.
        """
        return Isolation(
            tier=self.tier,
            pids=self.pids,
            files=self.files,
            data_bytes=data_size(self.data_bytes),
            use_gpu=self.use_gpu,
            relaxations=tuple(dict.fromkeys(self.relaxations)),
        )


def data_size(value: int | str | None) -> int | None:
    """Return bytes for ``"2g"``.

    Raises:
        InvalidError: It is not a size.
    """
    if value is None or value == "":
        return None
    try:
        return parse_memory(value)
    except InvalidError as error:
        raise InvalidError.field(
            "isolation.data_bytes", "give a size of at least 16m, such as 512m or 2g"
        ) from error


class RelaxationAnswer(Answer):
    """Hardening that was taken away."""

    name: Relaxation
    meaning: str = Field(description="What that gives away.")


class HitAnswer(Answer):
    """A limit that the server ran into."""

    limit: Limit
    times: int
    first_at: datetime
    last_at: datetime


class EffectiveAnswer(Answer):
    """The limits that hold."""

    cpus: float
    memory_bytes: int
    pids: int
    files: int
    data_bytes: int = Field(description="Of /data; 0: no limit.")
    data_used_bytes: int | None = Field(
        description="Null while the server does not run, or where it cannot be seen."
    )
    data_is_held: bool = Field(
        description="Whether the file system itself refuses what is more."
    )
    data_unlimited_because: str = Field(description="Why it does not; else empty.")


class IsolationAnswer(Answer):
    """How far a server is kept apart."""

    isolation: dict[str, Any] = Field(description="As it was asked for.")
    effective: EffectiveAnswer
    relaxations: list[RelaxationAnswer]
    hits: list[HitAnswer] = Field(description="The latest first.")
    tiers: list[str] = Field(description="What this box has.")
    has_gpu: bool = Field(description="Whether this box's engine offers one.")

    @classmethod
    def of(cls, view: IsolationView) -> Self:
        """Return ``view`` as it is answered."""
        return cls(
            isolation=as_dict(view.isolation),
            effective=EffectiveAnswer(
                cpus=view.limits.cpus,
                memory_bytes=view.limits.memory_bytes,
                pids=view.isolation.pids,
                files=view.isolation.files,
                data_bytes=view.data_bytes,
                data_used_bytes=view.data.used_bytes if view.data else None,
                data_is_held=bool(view.data_bytes) and not view.data_unlimited_because,
                data_unlimited_because=view.data_unlimited_because,
            ),
            relaxations=[
                RelaxationAnswer(name=item, meaning=MEANINGS[item])
                for item in view.isolation.relaxations
            ],
            hits=[
                HitAnswer.model_validate(item, from_attributes=True)
                for item in view.hits
            ],
            tiers=sorted(view.tiers),
            has_gpu=GPU in view.capabilities,
        )
