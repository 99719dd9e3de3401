"""/api/alerts: what is wrong with the box, who knows of it, and where it is sent."""

from datetime import datetime
from http import HTTPStatus
from typing import Literal, Self

from aiohttp import web
from pydantic import Field

from appliance.alerts.model import Alert, Channel, ChannelKind, Severity
from appliance.alerts.service import LONGEST_SILENCE, NewChannel
from appliance.web.api.answer import Answer
from appliance.web.keys import ALERTS
from appliance.web.paging import one_page
from appliance.web.parsing import Input, json_answer
from appliance.web.requests import Access, principal_of
from appliance.web.routes import Routes

routes = Routes("alerts")
MAX_ID = 2**63 - 1
ALERT = "/api/alerts/{alert_id:[0-9]{1,18}}"
CHANNEL = "/api/alerts/channels/{channel_id:[0-9]{1,18}}"
MISSING = (HTTPStatus.NOT_FOUND,)
_LONGEST_H = LONGEST_SILENCE.total_seconds() / 3600


class AlertsQuery(Input):
    """Which alerts."""

    state: Literal["open", "ended", "all"] = Field(
        "open", description="`open`: what is wrong now."
    )
    cursor: int | None = Field(
        None, ge=0, le=MAX_ID, description="`next_cursor` of the page before."
    )
    limit: int = Field(50, ge=1, le=200, description="Alerts a page.")

    @property
    def ended(self) -> bool | None:
        """Which of both; ``None``: both."""
        return {"open": False, "ended": True}.get(self.state)


class AlertAnswer(Answer):
    """One time that something was wrong."""

    id: int
    key: str = Field(description="The same each time that the same thing is wrong.")
    severity: Severity
    text: str
    hint: str = Field(description="What to do; may be empty.")
    since: datetime
    last_seen: datetime
    ended_at: datetime | None
    acknowledged_by: str = Field(description="Empty: nobody said that they know.")
    acknowledged_at: datetime | None
    silenced_until: datetime | None = Field(
        description="Nobody is told of its kind until then."
    )

    @classmethod
    def of(cls, alert: Alert) -> Self:
        """Return ``alert`` as it is answered."""
        return cls.model_validate(alert, from_attributes=True)


class AlertsPage(Answer):
    """Some alerts, newest first."""

    items: list[AlertAnswer]
    next_cursor: int | None = Field(
        description="`cursor` for the next page; null on the last."
    )


class SilenceBody(Input):
    """For how long nobody is told of a kind of alert."""

    hours: float = Field(
        ge=0, le=_LONGEST_H, description="From now on; 0: tell of it again."
    )
    reason: str = Field("", max_length=300)


class ChannelBody(Input):
    """Where alerts shall be sent."""

    kind: ChannelKind
    address: str = Field(
        min_length=1, max_length=2000, description="A URL, or an e-mail address."
    )
    name: str = Field("", max_length=100, description="Empty: the address.")
    min_severity: Severity = Field(
        Severity.WARNING, description="What is less bad is not sent there."
    )


class ChannelAnswer(Answer):
    """Where alerts are sent."""

    id: int
    kind: ChannelKind
    name: str
    address: str
    min_severity: Severity
    created_by: str
    created_at: datetime
    last_sent_at: datetime | None
    last_error: str = Field(
        description="Of the last attempt; empty: it went well, or there was none."
    )

    @classmethod
    def of(cls, channel: Channel) -> Self:
        """Return ``channel`` as it is answered."""
        return cls.model_validate(channel, from_attributes=True)


class ChannelsAnswer(Answer):
    """All channels."""

    items: list[ChannelAnswer]


class NewChannelAnswer(Answer):
    """A channel that was added."""

    channel: ChannelAnswer
    secret: str = Field(
        description="What calls of a webhook are signed with, shown this once; empty for e-mail."
    )


@routes.get("/api/alerts", summary="List alerts", access=Access.ADMIN)
async def listing(request: web.Request, *, query: AlertsQuery) -> AlertsPage:
    """What is wrong with the box, or was; for administrators."""
    found = await request.app[ALERTS].page(
        ended=query.ended, before=query.cursor, limit=query.limit + 1
    )
    shown, last = one_page(found, query.limit)
    return AlertsPage(
        items=[AlertAnswer.of(item) for item in shown],
        next_cursor=last.id if last else None,
    )


@routes.post(
    f"{ALERT}/acknowledge",
    summary="Acknowledge an alert",
    access=Access.ADMIN,
    errors=(*MISSING, HTTPStatus.CONFLICT),
)
async def acknowledge(request: web.Request) -> AlertAnswer:
    """Say that you know: nobody is reminded of it; its end is told. For administrators."""
    found = await request.app[ALERTS].acknowledge(principal_of(request), alert_of(request))  # fmt: skip
    return AlertAnswer.of(found)


@routes.post(
    f"{ALERT}/silence",
    summary="Silence a kind of alert",
    access=Access.ADMIN,
    errors=MISSING,
)
async def silence(request: web.Request, *, body: SilenceBody) -> AlertAnswer:
    """Tell nobody of alerts with this one's key for some hours; they are still listed. For administrators."""
    found = await request.app[ALERTS].silence(
        principal_of(request), alert_of(request), hours=body.hours, reason=body.reason
    )
    return AlertAnswer.of(found)


@routes.get("/api/alerts/channels", summary="List where alerts go", access=Access.ADMIN)
async def channels(request: web.Request) -> ChannelsAnswer:
    """Where alerts are sent, and how the last attempt went; for administrators."""
    found = await request.app[ALERTS].channels()
    return ChannelsAnswer(items=[ChannelAnswer.of(item) for item in found])


@routes.post(
    "/api/alerts/channels",
    summary="Send alerts somewhere",
    access=Access.ADMIN,
    status=HTTPStatus.CREATED,
    answer=NewChannelAnswer,
    errors=(HTTPStatus.CONFLICT,),
)
async def add(request: web.Request, *, body: ChannelBody) -> web.Response:
    """Have alerts sent to a program, signed, or to an e-mail address. For administrators."""
    new = NewChannel(body.kind, body.address, body.name, body.min_severity)
    channel, secret = await request.app[ALERTS].add_channel(principal_of(request), new)
    answer = NewChannelAnswer(channel=ChannelAnswer.of(channel), secret=secret)
    return json_answer(answer, status=HTTPStatus.CREATED)


@routes.delete(
    CHANNEL, summary="Send alerts there no more", access=Access.ADMIN, errors=MISSING
)
async def remove(request: web.Request) -> None:
    """Forget a channel. For administrators."""
    await request.app[ALERTS].remove_channel(principal_of(request), channel_of(request))


@routes.post(
    f"{CHANNEL}/test",
    summary="Try a channel",
    access=Access.ADMIN,
    errors=(
        *MISSING,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.BAD_GATEWAY,
    ),
)
async def test(request: web.Request) -> ChannelAnswer:
    """Send a test there now; an error says why it did not arrive. For administrators."""
    found = await request.app[ALERTS].test(principal_of(request), channel_of(request))
    return ChannelAnswer.of(found)


def alert_of(request: web.Request) -> int:
    """Return the alert that the path names."""
    return int(request.match_info["alert_id"])


def channel_of(request: web.Request) -> int:
    """Return the channel that the path names."""
    return int(request.match_info["channel_id"])
