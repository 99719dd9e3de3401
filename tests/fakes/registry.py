"""A registry to pull from: one image of this box's engine, served as a registry serves it."""

import gzip
import hashlib
import io
import json
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_DOCKER = "application/vnd.docker"


def _digest(blob: bytes) -> str:
    return f"sha256:{hashlib.sha256(blob).hexdigest()}"


def _packed(image: str) -> tuple[bytes, dict[str, bytes]]:
    """Return an image's manifest and its blobs by digest."""
    saved = subprocess.run(["docker", "save", image], capture_output=True, check=True)
    with tarfile.open(fileobj=io.BytesIO(saved.stdout)) as archive:

        def read(name: str) -> bytes:
            found = archive.extractfile(name)
            assert found is not None
            return found.read()

        (entry,) = json.loads(read("manifest.json"))
        config = read(entry["Config"])
        layers = [gzip.compress(read(name), 1) for name in entry["Layers"]]
    parts = [(f"{_DOCKER}.container.image.v1+json", config)]
    parts += [(f"{_DOCKER}.image.rootfs.diff.tar.gzip", layer) for layer in layers]
    described = [
        {"mediaType": kind, "size": len(blob), "digest": _digest(blob)}
        for kind, blob in parts
    ]
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{_DOCKER}.distribution.manifest.v2+json",
        "config": described[0],
        "layers": described[1:],
    }
    return json.dumps(manifest).encode(), {_digest(blob): blob for _, blob in parts}


@contextmanager
def registry(image: str, name: str, tag: str) -> Iterator[str]:
    """Serve ``image`` as ``name:tag`` on loopback and give its reference; everything else is unknown there."""
    manifest, blobs = _packed(image)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            what, _, wanted = self.path.removeprefix(f"/v2/{name}/").partition("/")
            if self.path == "/v2/":
                self._answer(200, "application/json", b"{}")
            elif what == "manifests" and wanted in {tag, _digest(manifest)}:
                kind = f"{_DOCKER}.distribution.manifest.v2+json"
                self._answer(200, kind, manifest)
            elif what == "blobs" and wanted in blobs:
                self._answer(200, "application/octet-stream", blobs[wanted])
            else:
                errors = [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]
                body = json.dumps({"errors": errors}).encode()
                self._answer(404, "application/json", body)

        do_HEAD = do_GET  # noqa: N815 - the name that http.server looks for

        def _answer(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Docker-Content-Digest", _digest(body))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"127.0.0.1:{server.server_port}/{name}:{tag}"
    finally:
        server.shutdown()
        server.server_close()
