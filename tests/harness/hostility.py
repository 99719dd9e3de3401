"""Every kind of request that a push makes, everything that a registry may do to it, and what that is called."""

import asyncio
from dataclasses import dataclass

from appliance.core.images import PlatformImage
from appliance.registry.errors import ErrorKind, RegistryError
from appliance.registry.service import RegistryService
from tests.harness.faults import Action, Fault
from tests.harness.pushes import PushBench

SILENCE_S = 1.0
#: A push has a dozen requests; one that stalls may take as long as the silence, and a second look.
LONGEST_S = 20.0


@dataclass(frozen=True)
class Request:
    """One kind of request of a push."""

    name: str
    method: str
    #: Of the path, after the repository.
    path: str
    has_repository: bool = True
    #: Whether the answer names a digest.
    names_digest: bool = False
    #: Whether the answer has a body that somebody reads.
    is_read: bool = False


REQUESTS = (
    Request("ping", "GET", r"/v2/$", has_repository=False),
    Request("look-for-layer", "HEAD", r"/blobs/sha256:", names_digest=True),
    Request("begin-upload", "POST", r"/blobs/uploads/$"),
    Request("send-layer", "PATCH", r"/blobs/uploads/"),
    Request("finish-layer", "PUT", r"/blobs/uploads/", names_digest=True),
    Request("write-manifest", "PUT", r"/manifests/sha256:", names_digest=True),
    Request("read-back", "GET", r"/manifests/sha256:", names_digest=True, is_read=True),
    Request("read-config", "GET", r"/blobs/sha256:", is_read=True),
    Request("write-tag", "PUT", r"/manifests/[^s]", names_digest=True),
)

_K = ErrorKind
#: What is done, and by which names it may end.
HOSTILITIES: dict[str, frozenset[ErrorKind]] = {
    "401": frozenset({_K.AUTH_EXPIRED}),
    "403": frozenset({_K.DENIED}),
    "404": frozenset({_K.NOT_FOUND}),
    "429": frozenset({_K.RATE_LIMITED}),
    "500": frozenset({_K.SERVER_ERROR}),
    "503": frozenset({_K.SERVER_ERROR}),
    "cut": frozenset({_K.CONNECTION}),
    "stall": frozenset({_K.TIMEOUT}),
    # A head that is cut off is a connection that broke.
    "truncate": frozenset({_K.TRUNCATED, _K.CONNECTION}),
    "lie": frozenset({_K.DIGEST_MISMATCH}),
    "swap": frozenset({_K.DIGEST_MISMATCH}),
}
_CHALLENGE = {"WWW-Authenticate": 'Basic realm="test"'}


def fault_for(request: Request, hostility: str, repository: str) -> Fault:
    """Return the fault for one repository's requests of one kind."""
    path = f"/{repository}{request.path}" if request.has_repository else request.path
    if hostility.isdecimal():
        headers = _CHALLENGE if hostility == "401" else {}
        return Fault(request.method, path, status=int(hostility), headers=headers)
    actions: dict[str, Action] = {
        "cut": "cut",
        "stall": "stall",
        "truncate": "truncate",
        "lie": "lie",
        "swap": "swap",
    }
    return Fault(request.method, path, actions[hostility])


def tolerated(request: Request, hostility: str) -> bool:
    """Tell whether nobody needs to notice: a digest where none is expected, a body that nobody reads."""
    if hostility == "lie":
        return not request.names_digest
    return hostility == "swap" and not request.is_read


async def offend(
    bench: PushBench, image: PlatformImage, request: Request
) -> dict[str, str]:
    """Push once for each hostility at one kind of request; return those that did not end as they should, and how they did."""
    service = await bench.service(registry_timeout=SILENCE_S, registry_push_retries=0)
    found: dict[str, str] = {}

    async def push(hostility: str) -> None:
        if (words := await _push(bench, service, image, (request, hostility))) != "":
            found[hostility] = words

    if request.has_repository:
        await asyncio.gather(*(push(hostility) for hostility in HOSTILITIES))
    else:
        for hostility in HOSTILITIES:
            await push(hostility)
    return found


async def _push(
    bench: PushBench,
    service: RegistryService,
    image: PlatformImage,
    offence: tuple[Request, str],
) -> str:
    """Push once; return what is wrong with the way it ended, or an empty text."""
    request, hostility = offence
    repository = f"{request.name}-{hostility}"
    fault = fault_for(request, hostility, repository)
    bench.proxy.faults.append(fault)
    kind = None
    try:
        async with asyncio.timeout(LONGEST_S):
            await bench.publish(service, image, name=repository)
    except RegistryError as error:
        kind = error.kind
    except TimeoutError:
        return f"hung for {LONGEST_S:g} s"
    finally:
        bench.proxy.faults.remove(fault)
    if not fault.hits:
        return "was never met"
    if kind is None:
        return "" if tolerated(request, hostility) else "went unnoticed"
    return "" if kind in HOSTILITIES[hostility] else f"was called {kind}"
