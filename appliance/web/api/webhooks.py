"""/api/servers/{server}/webhook and /github: redeploys started from outside, and the secret that opens these doors."""

from collections.abc import Sequence
from datetime import datetime
from http import HTTPStatus
from typing import Self

from aiohttp import hdrs, web
from pydantic import Field

from appliance.servers.webhooks import (
    Delivery,
    DeliveryOutcome,
    GithubCall,
    WebhookView,
)
from appliance.web.api.answer import Answer
from appliance.web.keys import (
    WEBHOOK_SECRET_HEADER,
    WEBHOOK_SIGNATURE_HEADER,
    WEBHOOKS,
)
from appliance.web.parsing import json_answer
from appliance.web.requests import Access, own_url, principal_of, server_of
from appliance.web.routes import Routes

routes = Routes("webhooks")

EVENT_HEADER = "X-GitHub-Event"
DELIVERY_HEADER = "X-GitHub-Delivery"
#: Nothing of the body is needed there.
MAX_CALL_BYTES = 64 * 1024
#: A push of thousands of commits stays below; GitHub itself sends up to 25 MB.
MAX_EVENT_BYTES = 5 * 1024 * 1024
_REFUSALS = (
    HTTPStatus.CONFLICT,
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
)


class CallAnswer(Answer):
    """What a call came to."""

    outcome: DeliveryOutcome = Field(
        description="`queued` and `coalesced` lead to a redeploy; `ping`, `ignored` and `replayed` to nothing."
    )
    detail: str = Field(description="The same in words.")


class DeliveryAnswer(Answer):
    """One call."""

    id: int
    at: datetime
    door: str = Field(description="`webhook` or `github`.")
    event: str = Field(description="As GitHub calls it; empty at the other door.")
    delivery_id: str | None
    outcome: DeliveryOutcome
    detail: str
    address: str = Field(description="Who called.")
    deployment: int | None = Field(description="The number of what it led to.")
    deployment_state: str | None

    @classmethod
    def of(cls, item: Delivery) -> Self:
        """Return ``item`` as it is answered."""
        return cls.model_validate(item, from_attributes=True)


class WebhookAnswer(Answer):
    """A server's webhook."""

    is_on: bool = Field(description="Whether there is a secret.")
    url: str = Field(description="Takes the secret itself.")
    github_url: str = Field(description="Takes GitHub's signed events.")
    created_by: str
    created_at: datetime | None
    deliveries: Sequence[DeliveryAnswer] = Field(
        description="The newest calls, newest first."
    )


class SecretAnswer(Answer):
    """A new secret."""

    secret: str = Field(description="Shown this once; the one before stopped working.")
    url: str
    github_url: str


def addresses(request: web.Request, server: int | str) -> dict[str, str]:
    """Return where the two doors of a server are."""
    base = f"{own_url(request)}/api/servers/{server}"
    return {"url": f"{base}/webhook", "github_url": f"{base}/github"}


@routes.get("/api/servers/{server}/webhook", summary="Show a server's webhook")
async def show(request: web.Request) -> WebhookAnswer:
    """Where it is, whether it has a secret, and the newest calls with what they came to."""
    server = server_of(request)
    view = await request.app[WEBHOOKS].get(principal_of(request), server)
    return _answer(request, server, view)


def _answer(
    request: web.Request, server: int | str, view: WebhookView
) -> WebhookAnswer:
    return WebhookAnswer(
        is_on=view.is_on,
        created_by=view.created_by,
        created_at=view.created_at,
        deliveries=[DeliveryAnswer.of(item) for item in view.deliveries],
        **addresses(request, server),
    )


@routes.post(
    "/api/servers/{server}/webhook/secret",
    summary="Make a webhook's secret",
    status=HTTPStatus.CREATED,
    answer=SecretAnswer,
    errors=(HTTPStatus.CONFLICT,),
)
async def renew(request: web.Request) -> web.Response:
    """Make the secret that opens both doors, or replace it; the old one stops working at once."""
    server = server_of(request)
    secret = await request.app[WEBHOOKS].renew(principal_of(request), server)
    answer = SecretAnswer(secret=secret, **addresses(request, server))
    return json_answer(answer, status=HTTPStatus.CREATED)


@routes.delete(
    "/api/servers/{server}/webhook",
    summary="Remove a webhook",
    errors=(HTTPStatus.CONFLICT,),
)
async def remove(request: web.Request) -> None:
    """Forget the secret: both doors are shut."""
    await request.app[WEBHOOKS].remove(principal_of(request), server_of(request))


@routes.post(
    "/api/servers/{server}/webhook",
    summary="Redeploy by webhook",
    access=Access.SIGNED,
    status=HTTPStatus.ACCEPTED,
    answer=CallAnswer,
    errors=_REFUSALS,
)
async def call(request: web.Request) -> web.Response:
    """Redeploy the server for whoever shows its secret in `X-Webhook-Secret`; the body does not matter.

    A call while a redeploy waits is taken in by that one. 401 says neither whether there is such a server nor whether it
    has a webhook.
    """
    await _read(request, MAX_CALL_BYTES)
    secret = request.headers.get(WEBHOOK_SECRET_HEADER, "")
    found = await request.app[WEBHOOKS].call(server_of(request), secret)
    answer = CallAnswer(outcome=found.outcome, detail=found.detail)
    return json_answer(answer, status=HTTPStatus.ACCEPTED)


@routes.post(
    "/api/servers/{server}/github",
    summary="Redeploy by a push on GitHub",
    access=Access.SIGNED,
    status=HTTPStatus.ACCEPTED,
    answer=CallAnswer,
    errors=(*_REFUSALS, HTTPStatus.UNPROCESSABLE_ENTITY),
)
async def github(request: web.Request) -> web.Response:
    """Take an event that GitHub signed with the secret (`X-Hub-Signature-256`): a push to the tracked branch redeploys.

    Other events and branches are answered 202 with why nothing happens, and so is a delivery that came before.
    """
    headers = request.headers
    sent = GithubCall(
        event=headers.get(EVENT_HEADER, ""),
        delivery_id=headers.get(DELIVERY_HEADER, ""),
        signature=headers.get(WEBHOOK_SIGNATURE_HEADER, ""),
        content_type=request.content_type,
        body=await _read(request, MAX_EVENT_BYTES),
    )
    found = await request.app[WEBHOOKS].github(server_of(request), sent)
    answer = CallAnswer(outcome=found.outcome, detail=found.detail)
    return json_answer(answer, status=HTTPStatus.ACCEPTED)


async def _read(request: web.Request, limit: int) -> bytes:
    """Return the body as it was sent.

    It is read whatever the door: who may not know of a server must not learn of it from how soon they are refused.
    """
    length = request.headers.get(hdrs.CONTENT_LENGTH, "0")
    size = int(length) if length.isascii() and length.isdigit() else 0
    found = bytearray()
    if size <= limit:
        async for chunk in request.content.iter_any():
            found += chunk
            if len(found) > limit:
                break
    if max(size, len(found)) > limit:
        raise web.HTTPRequestEntityTooLarge(
            max_size=limit, actual_size=max(size, len(found))
        )
    return bytes(found)
