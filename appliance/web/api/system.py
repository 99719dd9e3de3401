"""/api/system: which release this box is at, and what became of earlier changes."""

import asyncio
from datetime import datetime

from aiohttp import web
from pydantic import Field

from appliance.infra.releases import this_release
from appliance.upgrades.home import installed
from appliance.upgrades.model import Change, Outcome
from appliance.web.api.answer import Answer
from appliance.web.requests import Access
from appliance.web.routes import Routes

routes = Routes("system")


class ChangeAnswer(Answer):
    """One change of release, or an attempt at one."""

    at: datetime
    outcome: Outcome = Field(
        description="`failed`: a check failed, and the box went back by itself."
    )
    origin: str = Field(description="The release before; empty: there was none.")
    to: str
    text: str = Field(description="What failed.")

    @classmethod
    def of(cls, change: Change) -> "ChangeAnswer":
        """Return ``change`` as it is answered."""
        return cls(
            at=datetime.fromisoformat(change.at),
            outcome=change.outcome,
            origin=change.origin,
            to=change.to,
            text=change.text,
        )


class SystemAnswer(Answer):
    """The program on this box."""

    release: str = Field(description="The version of the hub that answers.")
    commit: str = Field(description="Of its repository; empty: not known.")
    is_installed: bool = Field(
        description="Whether releases are installed here; false for a checkout or a container."
    )
    releases: list[str] = Field(description="Those on this box.")
    changes: list[ChangeAnswer] = Field(description="Newest first.")


@routes.get("/api/system", summary="Show the release", access=Access.ADMIN)
async def system(_request: web.Request) -> SystemAnswer:
    """Which release this box is at, which others are there, and what became of each change. For administrators."""
    return await asyncio.to_thread(_read)


def _read() -> SystemAnswer:
    release, home = this_release(), installed()
    changes = home.changes() if home else []
    return SystemAnswer(
        release=release.version,
        commit=release.commit,
        is_installed=home is not None,
        releases=home.versions() if home else [],
        changes=[ChangeAnswer.of(item) for item in reversed(changes)],
    )
