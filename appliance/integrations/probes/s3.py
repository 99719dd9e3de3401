"""Asks for a bucket, signed."""

import socket
from http import HTTPStatus

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from appliance.core.clock import now
from appliance.integrations.errors import ProbeFailedError
from appliance.integrations.kinds.s3 import bucket_url
from appliance.integrations.probes import Asked
from appliance.integrations.probes.lines import unreachable
from appliance.integrations.probes.sigv4 import signed_headers


class _Only(AbstractResolver):
    """Knows one address."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        del family
        address = self._asked.address
        kind = socket.AF_INET6 if ":" in address else socket.AF_INET
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=kind,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
        ]

    async def close(self) -> None:
        """Hold nothing."""


async def probe(asked: Asked) -> str:
    """Return that the bucket is there.

    Raises:
        ProbeFailedError: It is not, or the keys do not open it.
    """
    url = bucket_url(asked.settings)
    keys = (asked.secrets["access_key_id"], asked.secrets["secret_access_key"])
    headers = signed_headers(
        "HEAD", url, region=asked.settings["region"], keys=keys, at=now()
    )
    connector = aiohttp.TCPConnector(resolver=_Only(asked), force_close=True)
    try:
        async with (
            aiohttp.ClientSession(
                connector=connector, cookie_jar=aiohttp.DummyCookieJar()
            ) as session,
            session.head(url, headers=headers, allow_redirects=False) as response,
        ):
            return _told(asked, response)
    except aiohttp.ClientConnectorCertificateError as error:
        raise ProbeFailedError(
            f"The certificate of {asked.destination} is not to be trusted."
        ) from error
    except aiohttp.ClientConnectorSSLError as error:
        raise _no_s3(asked) from error
    except aiohttp.ClientOSError as error:
        raise unreachable(asked, error) from error
    except aiohttp.ClientError as error:
        raise _no_s3(asked) from error


def _no_s3(asked: Asked) -> ProbeFailedError:
    return ProbeFailedError(
        f"What listens at {asked.destination} does not answer as S3 does.",
        hint="Is it the right port, and http or https?",
    )


def _told(asked: Asked, response: aiohttp.ClientResponse) -> str:
    bucket = asked.settings["bucket"]
    if response.status in {HTTPStatus.OK, HTTPStatus.NO_CONTENT}:
        return f"The bucket {bucket} is there, and the keys open it."
    region = response.headers.get("x-amz-bucket-region", "")
    told = {
        HTTPStatus.NOT_FOUND: (f"There is no bucket {bucket}.", "Is the name right?"),
        HTTPStatus.FORBIDDEN: (
            f"The keys do not open the bucket {bucket}.",
            "Are both of them right, the box's clock too, and may they list the bucket?",
        ),
        HTTPStatus.MOVED_PERMANENTLY: (
            f"The bucket {bucket} is in another region{': ' if region else ''}{region}.",
            "Give that region, and its endpoint.",
        ),
        HTTPStatus.BAD_REQUEST: (
            f"The bucket {bucket} was refused (400){': it is in ' if region else ''}{region}.",
            "Is the region right?",
        ),
    }
    words, hint = told.get(
        HTTPStatus(response.status),
        (f"{asked.destination} answered {response.status}.", "Is it an S3 service?"),
    )
    raise ProbeFailedError(words, hint=hint)
