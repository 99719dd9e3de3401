"""A connection to a service, and what its failures say."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from appliance.integrations.errors import ProbeFailedError
from appliance.integrations.probes import Asked

#: Seconds for the greetings of TLS.
HANDSHAKE_S = 4.0
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def connected(asked: Asked, *, tls: bool) -> AsyncIterator[Streams]:
    """Give a connection to the address that was looked up, with the service's own name in its certificate.

    Raises:
        ProbeFailedError: Nobody listens, or the certificate is not to be trusted.
    """
    where = asked.destination
    context = await asyncio.to_thread(ssl.create_default_context) if tls else None
    try:
        reader, writer = await asyncio.open_connection(
            asked.address,
            where.port,
            ssl=context,
            server_hostname=where.host if tls else None,
            ssl_handshake_timeout=HANDSHAKE_S if tls else None,
        )
    except ssl.SSLCertVerificationError as error:
        raise ProbeFailedError(
            f"The certificate of {where} is not to be trusted: {error.verify_message}.",
            hint="Is the name the one that the certificate is for?",
        ) from error
    except (ssl.SSLError, ConnectionAbortedError) as error:
        # Whoever expects no TLS may wait for the end of a line that never comes.
        raise ProbeFailedError(
            f"{where} does not speak TLS.",
            hint="Turn TLS off, or give the port that has it.",
        ) from error
    except OSError as error:
        raise unreachable(asked, error) from error
    try:
        yield reader, writer
    finally:
        writer.close()


def unreachable(asked: Asked, error: OSError) -> ProbeFailedError:
    """Return that nobody listens, as the system says it."""
    words = (error.strerror or str(error)).partition(":")[0]
    return ProbeFailedError(
        f"Nobody answers at {asked.destination} ({asked.address}): {words}.",
        hint="Does it run, does it listen on this address, and does no firewall stand between?",
    )
