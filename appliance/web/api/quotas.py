"""/api/…/quotas: how much somebody may build and keep, and how much they do."""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal, Self

from aiohttp import web
from pydantic import Field

from appliance.servers.quotas.model import (
    MIB,
    DiskStanding,
    Level,
    MinutesStanding,
    QuotaKind,
    Standard,
    Standing,
    Wanted,
)
from appliance.servers.quotas.rules import MAX_DISK_MIB, MAX_MINUTES
from appliance.web.api.answer import Answer
from appliance.web.keys import QUOTAS
from appliance.web.parsing import Input
from appliance.web.requests import Access, org_of, principal_of
from appliance.web.routes import Routes

routes = Routes("quotas")
USER = "/api/users/{user_id:[0-9]{1,18}}/quotas"
ORG = "/api/orgs/{org}/quotas"
_HOW = "null: any; `default`: what the box's settings say."


class QuotasBody(Input):
    """How much somebody may have; what is absent stays."""

    build_minutes: int | Literal["default"] | None = Field(
        None,
        description=f"Minutes of builds in a calendar month, 0 to {MAX_MINUTES}; {_HOW}",
    )
    disk_mib: int | Literal["default"] | None = Field(
        None,
        description=f"MiB of images, /data and uploads together, 0 to {MAX_DISK_MIB}; {_HOW}",
    )

    def changes(self) -> Mapping[QuotaKind, Wanted]:
        """Return what shall be otherwise."""
        given = self.model_dump(include=self.model_fields_set)
        return {
            QuotaKind(name): Standard.DEFAULT if value == "default" else value
            for name, value in given.items()
        }


class MinutesAnswer(Answer):
    """Build minutes of this calendar month, by UTC."""

    limit: int | None = Field(description="null: any number.")
    is_default: bool = Field(description="Whether the box's settings say so.")
    used: float = Field(
        description="Minutes that builds took which began this month; those that run count one at least."
    )
    running: int = Field(description="Builds that run at this moment.")
    resets_at: datetime = Field(description="When counting begins anew.")
    level: Level = Field(description="`warning` from 80 % on; `reached`: none begins.")

    @classmethod
    def of(cls, standing: MinutesStanding) -> Self:
        """Return ``standing`` as it is answered."""
        return cls(
            limit=standing.limit.amount,
            is_default=standing.limit.is_default,
            used=round(standing.used_seconds / 60, 2),
            running=standing.running,
            resets_at=standing.resets_at,
            level=standing.level,
        )


class DiskAnswer(Answer):
    """What is taken of the disk, as it was last measured."""

    limit_bytes: int | None = Field(description="null: any.")
    is_default: bool = Field(description="Whether the box's settings say so.")
    used_bytes: int
    images_bytes: int = Field(description="What images share is left out.")
    data_bytes: int = Field(description="What lies in the /data of servers.")
    uploads_bytes: int = Field(description="Archives that were brought.")
    measured_at: datetime | None = Field(
        description="Every ten minutes; null: nothing was found yet."
    )
    level: Level = Field(
        description="`warning` from 80 % on; `reached`: nothing is added."
    )

    @classmethod
    def of(cls, standing: DiskStanding) -> Self:
        """Return ``standing`` as it is answered."""
        limit, sizes = standing.limit, standing.sizes
        return cls(
            limit_bytes=None if limit.amount is None else limit.amount * MIB,
            is_default=limit.is_default,
            used_bytes=sizes.total_bytes,
            images_bytes=sizes.images_bytes,
            data_bytes=sizes.data_bytes,
            uploads_bytes=sizes.uploads_bytes,
            measured_at=standing.measured_at,
            level=standing.level,
        )


class QuotasAnswer(Answer):
    """What somebody may have, and has."""

    build_minutes: MinutesAnswer
    disk: DiskAnswer

    @classmethod
    def of(cls, standing: Standing) -> Self:
        """Return ``standing`` as it is answered."""
        return cls(
            build_minutes=MinutesAnswer.of(standing.minutes),
            disk=DiskAnswer.of(standing.disk),
        )


@routes.get("/api/me/quotas", summary="Show your quotas")
async def own(request: web.Request) -> QuotasAnswer:
    """How much of build minutes and disk you may have, and have. Servers of organisations count for these."""
    return QuotasAnswer.of(await request.app[QUOTAS].own(principal_of(request)))


@routes.get(USER, summary="Show a person's quotas", access=Access.ADMIN)
async def of_person(request: web.Request) -> QuotasAnswer:
    """Those of one person; for administrators."""
    found = await request.app[QUOTAS].of_person(principal_of(request), _user_id(request))  # fmt: skip
    return QuotasAnswer.of(found)


@routes.patch(USER, summary="Set a person's quotas", access=Access.ADMIN)
async def set_person(request: web.Request, *, body: QuotasBody) -> QuotasAnswer:
    """Say how much somebody may have, which counts at once; what runs goes on. For administrators."""
    found = await request.app[QUOTAS].change_person(
        principal_of(request), _user_id(request), body.changes()
    )
    return QuotasAnswer.of(found)


@routes.get(ORG, summary="Show an organisation's quotas")
async def of_org(request: web.Request) -> QuotasAnswer:
    """How much of build minutes and disk it may have, and has; for its members."""
    found = await request.app[QUOTAS].of_org(principal_of(request), org_of(request))
    return QuotasAnswer.of(found)


@routes.patch(ORG, summary="Set an organisation's quotas", access=Access.ADMIN)
async def set_org(request: web.Request, *, body: QuotasBody) -> QuotasAnswer:
    """Say how much an organisation may have, which counts at once; what runs goes on. For administrators."""
    found = await request.app[QUOTAS].change_org(
        principal_of(request), org_of(request), body.changes()
    )
    return QuotasAnswer.of(found)


def _user_id(request: web.Request) -> int:
    return int(request.match_info["user_id"])
