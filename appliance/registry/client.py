"""One registry's HTTP API, with who may use it taken care of.

Every error that leaves here is a ``RegistryError`` with a kind. Nothing is tried again here but a request whose token had run
out, which is the client's own business; what may be tried again is the caller's to decide.
"""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import aiohttp
from yarl import URL

from appliance.core.clock import now
from appliance.core.digests import digest_of
from appliance.registry import answers
from appliance.registry.auth import Credentials
from appliance.registry.errors import ErrorKind, RegistryError
from appliance.registry.model import (
    MANIFEST_TYPES,
    OCI_INDEX,
    Manifest,
    api_host,
    pull_scopes,
    push_scopes,
)
from appliance.registry.tokens import Doorman

#: Manifests are small; whoever sends more means no good.
MAX_MANIFEST_BYTES = 4 * 1024 * 1024
MAX_ERROR_BYTES = 16 * 1024
MAX_PAGES = 1000
MAX_REDIRECTS = 3

CredentialSource = Callable[[], Awaitable[Credentials | None]]


class RegistryClient:
    """The API of one registry.

    Args:
        session: Carries the requests; the caller's to close.
        host: As in references: ``registry.example.org:5000``, ``docker.io``.
        credentials: Asked whenever something must be proved; ``None``: anonymous.
        plain: Whether to speak without TLS.
        timeout_s: Seconds of silence that end a request.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        host: str,
        *,
        credentials: CredentialSource | None = None,
        plain: bool = False,
        timeout_s: float = 60.0,
    ) -> None:
        """Keep the parts; nothing is asked yet."""
        self.host = host
        self.timeout_s = timeout_s
        self.origin = URL(f"{'http' if plain else 'https'}://{api_host(host)}")
        self._session = session
        self._doorman = Doorman(
            session, self.origin, credentials=credentials, timeout_s=timeout_s
        )

    def forget_tokens(self) -> None:
        """Prove everything anew: the credentials have changed."""
        self._doorman.forget()

    async def renew(self, scopes: Iterable[str]) -> bool:
        """Fetch a new token, and tell whether there is one; registries without tokens have none to give."""
        self._doorman.forget()
        return await self._doorman.has_token(tuple(scopes))

    @property
    def has_shown_credentials(self) -> bool:
        """Whether the last proof was made with credentials; a registry that never asked was shown none."""
        return self._doorman.has_credentials

    # -- the registry as a whole

    async def ping(self, scopes: Iterable[str] = ()) -> None:
        """Ask whether the registry is there, and takes the credentials.

        Args:
            scopes: What a token should be good for; it is kept for what follows.

        Raises:
            RegistryError: It is not, or does not.
        """
        doing = f"Asking {self.host}"
        async with self.send("GET", "/v2/", scopes=scopes, doing=doing) as response:
            await self.demand(response, doing, {HTTPStatus.OK})
            await self._read(response, doing)

    async def tags(self, repository: str) -> list[str]:
        """Return all tags of a repository; none if the registry does not know it.

        Raises:
            RegistryError: The registry did not tell.
        """
        doing = self._doing("list the tags of", repository)
        path: URL | str | None = f"/v2/{repository}/tags/list?n=1000"
        found: list[str] = []
        for _ in range(MAX_PAGES):
            if path is None:
                return found
            async with self.send(
                "GET", path, scopes=pull_scopes(repository), doing=doing
            ) as response:
                if response.status == HTTPStatus.NOT_FOUND:
                    return found
                await self.demand(response, doing, {HTTPStatus.OK})
                page = _object(await self._read(response, doing), doing)
                found += [tag for tag in page.get("tags") or [] if isinstance(tag, str)]
                path = self._next(response)
        raise RegistryError(ErrorKind.INVALID, f"{doing}: the list has no end.")

    def _next(self, response: aiohttp.ClientResponse) -> URL | None:
        link = response.links.get("next")
        url = link.get("url") if link is not None else None
        return self.own(str(url)) if url is not None else None

    # -- manifests

    async def manifest(self, repository: str, reference: str) -> Manifest:
        """Return a manifest by tag or digest, checked against its digest.

        Raises:
            RegistryError: ``NOT_FOUND``: there is none; ``DIGEST_MISMATCH``: the bytes are others than asked for.
        """
        doing = self._doing(f"read manifest {reference} of", repository)
        async with self.send(
            "GET",
            _manifest_path(repository, reference),
            scopes=pull_scopes(repository),
            headers={"Accept": ", ".join(MANIFEST_TYPES)},
            doing=doing,
        ) as response:
            await self.demand(response, doing, {HTTPStatus.OK})
            body = await self._read(response, doing)
            digest = digest_of(body)
            told = response.headers.get("Docker-Content-Digest")
            check_digest(doing, told, digest)
            if ":" in reference:
                check_digest(doing, reference, digest)
            media_type = response.headers.get("Content-Type", "").partition(";")[0]
            return Manifest(body, media_type.strip(), digest)

    async def put_manifest(
        self, repository: str, reference: str, body: bytes, media_type: str
    ) -> str:
        """Write a manifest under a tag or its digest, and return its digest.

        Raises:
            RegistryError: The registry did not take it, or names another digest.
        """
        doing = self._doing(f"write manifest {reference} of", repository)
        async with self.send(
            "PUT",
            _manifest_path(repository, reference),
            scopes=push_scopes(repository),
            headers={"Content-Type": media_type},
            data=body,
            doing=doing,
        ) as response:
            # The specification knows 201 alone; registries differ.
            taken = {HTTPStatus.CREATED, HTTPStatus.OK, HTTPStatus.ACCEPTED}
            await self.demand(response, doing, taken)
            await self._read(response, doing)
            digest = digest_of(body)
            check_digest(doing, response.headers.get("Docker-Content-Digest"), digest)
            return digest

    async def delete_manifest(self, repository: str, reference: str) -> bool:
        """Remove a manifest by digest; ``False``: it was not there.

        Raises:
            RegistryError: The registry did not remove it; ``UNSUPPORTED`` where it is not set up to.
        """
        doing = self._doing(f"delete manifest {reference} of", repository)
        scopes = (f"repository:{repository}:delete", *push_scopes(repository))
        path = _manifest_path(repository, reference)
        async with self.send("DELETE", path, scopes=scopes, doing=doing) as response:
            if response.status == HTTPStatus.NOT_FOUND:
                return False
            await self.demand(response, doing, {HTTPStatus.ACCEPTED, HTTPStatus.OK})
            return True

    async def referrers(
        self, repository: str, digest: str
    ) -> tuple[Mapping[str, Any], ...] | None:
        """Return the descriptors of what refers to a digest; ``None``: this registry cannot tell.

        Raises:
            RegistryError: The registry failed.
        """
        doing = self._doing(f"list the referrers of {digest} in", repository)
        path = f"/v2/{repository}/referrers/{digest}"
        headers = {"Accept": OCI_INDEX}
        scopes = pull_scopes(repository)
        async with self.send(
            "GET", path, scopes=scopes, headers=headers, doing=doing
        ) as response:
            if response.status == HTTPStatus.NOT_FOUND:
                return None
            await self.demand(response, doing, {HTTPStatus.OK})
            listed = _object(await self._read(response, doing), doing).get("manifests")
        items = listed if isinstance(listed, list) else []
        return tuple(item for item in items if isinstance(item, dict))

    # -- blobs

    async def blob_exists(self, repository: str, digest: str) -> bool:
        """Tell whether the repository has a blob.

        Raises:
            RegistryError: The registry did not tell.
        """
        doing = self._doing(f"look for blob {digest} in", repository)
        path = f"/v2/{repository}/blobs/{digest}"
        async with self.send(
            "HEAD", path, scopes=pull_scopes(repository), doing=doing
        ) as response:
            if response.status == HTTPStatus.NOT_FOUND:
                return False
            await self.demand(response, doing, {HTTPStatus.OK})
            check_digest(doing, response.headers.get("Docker-Content-Digest"), digest)
            return True

    async def blob(self, repository: str, digest: str) -> bytes:
        """Return a small blob, such as an image's config, checked against its digest.

        Raises:
            RegistryError: It is not there, too large, or not what it should be.
        """
        doing = self._doing(f"read blob {digest} of", repository)
        path = f"/v2/{repository}/blobs/{digest}"
        async with self.send(
            "GET", path, scopes=pull_scopes(repository), doing=doing
        ) as response:
            await self.demand(response, doing, {HTTPStatus.OK})
            body = await self._read(response, doing)
        check_digest(doing, digest_of(body), digest)
        return body

    async def put_blob(self, repository: str, data: bytes) -> str:
        """Write a blob if it is not there, and return its digest.

        Raises:
            RegistryError: The registry did not take it.
        """
        digest = digest_of(data)
        if await self.blob_exists(repository, digest):
            return digest
        doing = self._doing(f"write blob {digest} to", repository)
        scopes = push_scopes(repository)
        async with self.send(
            "POST", f"/v2/{repository}/blobs/uploads/", scopes=scopes, doing=doing
        ) as response:
            await self.demand(response, doing, {HTTPStatus.ACCEPTED})
            location = self.own(response.headers.get("Location", ""))
        async with self.send(
            "PUT",
            location.update_query(digest=digest),
            scopes=scopes,
            headers={"Content-Type": "application/octet-stream"},
            data=data,
            doing=doing,
        ) as response:
            await self.demand(response, doing, {HTTPStatus.CREATED})
            check_digest(doing, response.headers.get("Docker-Content-Digest"), digest)
        return digest

    # -- how a request goes out

    @asynccontextmanager
    async def send(
        self,
        method: str,
        path: str | URL,
        *,
        doing: str,
        scopes: Iterable[str] = (),
        headers: Mapping[str, str] | None = None,
        data: Any = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Give the registry's answer to one request, whatever its status.

        A token that ran out is replaced once, unless ``data`` is a stream, which cannot be sent twice.

        Args:
            path: Below the registry, or an address that ``own`` approved.
            doing: Names the request in errors.

        Raises:
            RegistryError: No answer came, or no token was to be had.
        """
        url = (
            path if isinstance(path, URL) else self.origin.join(URL(path, encoded=True))
        )
        is_repeatable = data is None or isinstance(data, bytes)
        wanted = tuple(scopes)
        try:
            for is_last in (False, True) if is_repeatable else (True,):
                sent = dict(headers or {}) | await self._doorman.headers(wanted, doing)
                async with self._request(method, url, sent, data) as response:
                    is_asked = response.status == HTTPStatus.UNAUTHORIZED
                    if (
                        is_asked
                        and not is_last
                        and await self._doorman.learn(
                            response, wanted, doing, shown=sent.get("Authorization")
                        )
                    ):
                        continue
                    yield response
                    return
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise answers.failure(doing, error, timeout_s=self.timeout_s) from error

    def _request(
        self, method: str, url: URL, headers: Mapping[str, str], data: Any
    ) -> Any:
        return self._session.request(
            method,
            url,
            headers=headers,
            data=data,
            allow_redirects=method in {"GET", "HEAD"},
            max_redirects=MAX_REDIRECTS,
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=self.timeout_s, sock_read=self.timeout_s
            ),
        )

    async def demand(
        self,
        response: aiohttp.ClientResponse,
        doing: str,
        statuses: Iterable[int],
    ) -> None:
        """Let an answer pass that has one of ``statuses``.

        Raises:
            RegistryError: It has another.
        """
        if response.status in set(statuses):
            return
        body = bytearray()
        try:
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) >= MAX_ERROR_BYTES:
                    break
        except aiohttp.ClientError:
            # A refusal is one although its text is cut.
            if response.ok:
                raise
        raise answers.refusal(
            doing,
            response.status,
            response.headers,
            bytes(body),
            has_credentials=self._doorman.has_credentials,
            now=now(),
        )

    def own(self, location: str) -> URL:
        """Return where the registry sends us to go on, as an address of the registry itself.

        A registry behind a proxy may name itself by the wrong scheme; another host it may not name.

        Raises:
            RegistryError: It is none of this registry.
        """
        try:
            url = self.origin.join(URL(location, encoded=True))
        except ValueError as error:
            raise _elsewhere(self.host) from error
        if (
            not location
            or url.host != self.origin.host
            or not _same_port(url, self.origin)
        ):
            raise _elsewhere(self.host)
        return self.origin.join(URL(url.raw_path_qs, encoded=True))

    async def _read(self, response: aiohttp.ClientResponse, doing: str) -> bytes:
        body = bytearray()
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > MAX_MANIFEST_BYTES:
                raise RegistryError(
                    ErrorKind.INVALID, f"{doing}: the answer is far too long."
                )
        return bytes(body)

    def _doing(self, what: str, repository: str) -> str:
        return f"Trying to {what} {self.host}/{repository}"


def check_digest(doing: str, told: str | None, expected: str) -> None:
    """Let a digest pass that the registry told, or its silence.

    Raises:
        RegistryError: It is another one.
    """
    if told is not None and told.strip() != expected:
        shown = "".join(c for c in told if c.isprintable())[:80]
        raise RegistryError(
            ErrorKind.DIGEST_MISMATCH,
            f"{doing}: it should be {expected}, and the registry has {shown}.",
        )


def _same_port(url: URL, origin: URL) -> bool:
    return url.explicit_port == origin.explicit_port or url.port == origin.port


def _elsewhere(host: str) -> RegistryError:
    return RegistryError(
        ErrorKind.INVALID,
        f"The registry {host} sends an upload to another host, where no credentials and no layers are sent.",
    )


def _manifest_path(repository: str, reference: str) -> str:
    return f"/v2/{repository}/manifests/{quote(reference, safe=':')}"


def _object(body: bytes, doing: str) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except ValueError as error:
        raise RegistryError(ErrorKind.INVALID, f"{doing}: that is no JSON.") from error
    if not isinstance(found, dict):
        raise RegistryError(ErrorKind.INVALID, f"{doing}: that is no JSON object.")
    return found
