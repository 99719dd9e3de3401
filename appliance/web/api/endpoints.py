"""What servers and bundles answer alike, for each is an endpoint: calls of tools, and how clients connect."""

import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any

from aiohttp import web

from appliance.web.api.server_answers import (
    ClientConfigAnswer,
    ConnectAnswer,
    InvokeAnswer,
)
from appliance.web.api.server_bodies import InvokeBody
from appliance.web.connect import KEY_PLACEHOLDER, chosen, client_configs
from appliance.web.requests import move_time_limit, principal_of


async def call_tool(
    request: web.Request,
    body: InvokeBody,
    invoke: Callable[..., Awaitable[dict[str, Any]]],
    owner: int | str,
) -> InvokeAnswer:
    """Call a tool of ``owner`` by the service's ``invoke``, in the time that the caller gives it."""
    move_time_limit(request, body.timeout_s)
    started = time.perf_counter()
    result = await invoke(
        principal_of(request),
        owner,
        body.tool,
        body.arguments,
        timeout_s=body.timeout_s,
    )
    return InvokeAnswer(
        result=result, duration_ms=round((time.perf_counter() - started) * 1000, 1)
    )


def connect_answer(
    name: str,
    endpoint: str,
    client: str,
    *,
    manifest: dict[str, Any] | None = None,
) -> ConnectAnswer:
    """Return the snippets for all clients, or for ``client`` alone."""
    configs = client_configs(name, endpoint)
    return ConnectAnswer(
        name=name,
        endpoint=endpoint,
        key_placeholder=KEY_PLACEHOLDER,
        mcp_json=json.loads(configs[0].text),
        clients=[
            ClientConfigAnswer(**asdict(item)) for item in chosen(configs, client)
        ],
        manifest=manifest,
    )
