"""Entries of registries, asked for by their address: small, in time, and never of this box or its neighbours."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

import aiohttp
from pydantic import SecretStr

from appliance.runtimes.model import Transport
from appliance.servers.errors import EntryUnreachableError
from appliance.servers.model import ServerConfig
from appliance.sources.entry import Entry, Option
from appliance.sources.model import Source
from appliance.sources.reach import names_private
from appliance.sources.resolving import PublicResolver
from appliance.sources.server_json import read_entry
from appliance.sources.strangers import bounded
from appliance.sources.urls import checked_url

MAX_ENTRY_BYTES = 1024 * 1024
TIMEOUT_S = 15.0
EXAMPLE = (
    "https://registry.example.org/v0.1/servers/org.example%2Fweather/versions/latest"
)


async def fetch_entry(url: str, *, allow_private: bool) -> Entry:
    """Return what a registry says of a server.

    Raises:
        InvalidError: It is no such URL, or what is there is no server.json.
        EntryUnreachableError: Nothing answers there, or not what was asked for.
    """
    checked_url(
        url, field="server_json_url", schemes=("https", "http"), example=EXAMPLE
    )
    if names_private(url) and not allow_private:
        raise EntryUnreachableError(
            "The registry's address is one of this box or its neighbours.",
            hint="If asking there is meant, set REMOTE_ALLOW_PRIVATE=true; or give the document itself.",
        )
    resolver = aiohttp.ThreadedResolver() if allow_private else PublicResolver()
    connector = aiohttp.TCPConnector(resolver=resolver, limit=1)
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    try:
        async with (
            aiohttp.ClientSession(connector=connector, timeout=timeout, trust_env=True) as session,
            session.get(url, allow_redirects=False, headers={"Accept": "application/json"}) as response,
        ):  # fmt: skip
            if not response.ok or response.status >= 300:  # noqa: PLR2004 - a redirect is no answer
                raise EntryUnreachableError(
                    f"The registry answered {response.status} at {url}.",
                    hint="Give the address of one server's version.",
                )
            body = await bounded(
                response,
                MAX_ENTRY_BYTES,
                EntryUnreachableError(
                    "The registry's answer is larger than 1 MiB.",
                    hint="Give the address of one server's version.",
                ),
            )
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        raise EntryUnreachableError(
            f"The registry could not be reached at {url}: {str(error) or 'it took too long'}.",
            hint="Check the address, or give the document itself.",
        ) from error
    return await asyncio.to_thread(parse_entry, body)


@dataclass(frozen=True)
class Hosted:
    """What an entry comes to."""

    source: Source
    config: ServerConfig
    #: Variables that the entry calls secret; they are not in the configuration.
    secrets: dict[str, SecretStr]


def hosted(option: Option, inputs: Mapping[str, str], config: ServerConfig) -> Hosted:
    """Return what a server is made of; what ``config`` says itself wins. Pure.

    Raises:
        InvalidError: It cannot be hosted here, or something that it asks for is missing; names ``inputs.<name>``.
    """
    asked = {question.name for question in option.questions()}
    known = {
        name: config.environment[name] for name in asked & config.environment.keys()
    }
    filled = option.fill({**known, **inputs})
    spoken = Transport(filled.transport) if filled.transport else None
    is_default_path = config.path == ServerConfig.path
    environment = {**filled.environment, **config.environment}
    secret = {
        name: SecretStr(environment.pop(name))
        for name in filled.secrets & environment.keys()
    }
    made = replace(
        config,
        arguments=(*filled.arguments, *config.arguments),
        environment=environment,
        transport=config.transport or spoken,
        port=config.port or filled.port,
        path=filled.path if filled.path and is_default_path else config.path,
    )
    return Hosted(filled.source, made, secret)


def parse_entry(text: bytes | str) -> Entry:
    """Return what a document says.

    Raises:
        InvalidError: It is no server.json.
    """
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        data = None
    return read_entry(data)
