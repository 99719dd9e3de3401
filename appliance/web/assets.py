"""Static files: read once, named by the hash of all of them, compressed once.

A page names ``/static/<hash>/css/app.css``. Any change gives every file a new address, so browsers may keep what they have
for ever, and what a stylesheet names relatively (its fonts) moves along with it.
"""

import gzip
import hashlib
import mimetypes
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from aiohttp import web

#: Below this, the gzip header costs more than it saves.
MIN_COMPRESSED_BYTES = 512
_FOR_EVER = "public, max-age=31536000, immutable"
_ASK_AGAIN = "no-cache"
_TYPES = {
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
}
_TEXT = {".js", ".css", ".svg", ".json", ".txt"}


@dataclass(frozen=True)
class Asset:
    """One file as it is sent."""

    content: bytes
    content_type: str
    #: ``None`` where compression saves nothing.
    compressed: bytes | None


@dataclass(frozen=True)
class Assets:
    """Every static file by its path below ``static/``."""

    version: str
    files: dict[str, Asset]

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Read the directory. Blocking."""
        paths = sorted(path for path in directory.rglob("*") if path.is_file())
        files = {path.relative_to(directory).as_posix(): _asset(path) for path in paths}
        digest = hashlib.sha256()
        for name, asset in files.items():
            digest.update(f"{name}\0{len(asset.content)}\0".encode() + asset.content)
        return cls(digest.hexdigest()[:12], files)

    def url(self, name: str) -> str:
        """Return the address of ``name``.

        Raises:
            LookupError: There is no such file; a template names one that is not there.
        """
        if name not in self.files:
            raise LookupError(f"static/{name} does not exist")
        return f"/static/{self.version}/{name}"

    async def serve(self, request: web.Request) -> web.Response:
        """Answer with a file; what is asked for under an old hash is sent, but not to be kept."""
        asset = self.files.get(request.match_info["name"])
        if asset is None:
            raise web.HTTPNotFound
        current = request.match_info["version"] == self.version
        headers = {
            "Cache-Control": _FOR_EVER if current else _ASK_AGAIN,
            "Vary": "Accept-Encoding",
        }
        body = asset.content
        if asset.compressed is not None and "gzip" in request.headers.get(
            "Accept-Encoding", ""
        ):
            body = asset.compressed
            headers["Content-Encoding"] = "gzip"
        return web.Response(body=body, content_type=asset.content_type, headers=headers)


def _asset(path: Path) -> Asset:
    content = path.read_bytes()
    kind = (
        _TYPES.get(path.suffix)
        or mimetypes.guess_type(path.name)[0]
        or "application/octet-stream"
    )
    worthwhile = path.suffix in _TEXT and len(content) >= MIN_COMPRESSED_BYTES
    return Asset(content, kind, gzip.compress(content, mtime=0) if worthwhile else None)
