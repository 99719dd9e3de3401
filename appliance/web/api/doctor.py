"""/api/doctor: what `mcp-host doctor` says on the box."""

import json
from http import HTTPStatus

from aiohttp import web
from pydantic import Field

from appliance.core.errors import UnavailableError
from appliance.web.api.answer import Answer
from appliance.web.keys import BACKUPS
from appliance.web.requests import Access
from appliance.web.routes import Routes

routes = Routes("doctor")
#: Seconds that all looks together may take.
_PATIENCE_S = 50.0


class DoctorBrokeError(UnavailableError):
    """The look itself did not work."""

    code = "doctor_broke"


class FindingAnswer(Answer):
    """One thing that was looked at."""

    part: str
    verdict: str = Field(description="ok, warn or fail.")
    text: str
    mend: str = Field(
        description="The command, or the setting, that mends it; empty: nothing to do."
    )


class DoctorAnswer(Answer):
    """Everything that was looked at."""

    verdict: str = Field(description="The worst of all findings: ok, warn or fail.")
    findings: list[FindingAnswer]


@routes.get(
    "/api/doctor",
    summary="Look at the box",
    access=Access.ADMIN,
    errors=(HTTPStatus.SERVICE_UNAVAILABLE,),
)
async def doctor(request: web.Request) -> DoctorAnswer:
    """Look at everything that this installation needs, and say how to mend what is wrong; takes seconds. For administrators."""
    return await look(request)


async def look(request: web.Request) -> DoctorAnswer:
    """Have a process of its own look.

    Raises:
        DoctorBrokeError: It did not say what it found.
    """
    done = await request.app[BACKUPS].run(
        "doctor", "--output", "json", timeout_s=_PATIENCE_S
    )
    text = done.text
    try:
        found = json.loads(text[text.index("{") :])
    except ValueError as error:
        raise DoctorBrokeError(
            "The look at the box did not work.", hint="Run it there: mcp-host doctor"
        ) from error
    return DoctorAnswer.model_validate(found)
