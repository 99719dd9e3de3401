"""The large files of repositories as git-lfs keeps them: pointers in the commit, objects behind the batch API.

https://github.com/git-lfs/git-lfs/blob/main/docs/api/batch.md
"""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ATTRIBUTES = "*.bin filter=lfs diff=lfs merge=lfs -text\n"


def pointer(content: bytes) -> str:
    """Return what the commit holds in the place of ``content``."""
    oid = hashlib.sha256(content).hexdigest()
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {len(content)}\n"


def batch(objects: dict[str, bytes], url: str, asked: bytes) -> bytes:
    """Answer a request of the batch API: where each object is."""
    answers = []
    for item in json.loads(asked)["objects"]:
        found = {"oid": item["oid"], "size": item["size"]}
        if item["oid"] in objects:
            found["actions"] = {"download": {"href": f"{url}/{item['oid']}"}}
        else:
            found["error"] = {"code": 404, "message": "Object does not exist"}
        answers.append(found)
    return json.dumps({"transfer": "basic", "objects": answers}).encode()


@contextmanager
def object_store(*contents: bytes) -> Iterator[tuple[dict[str, bytes], str]]:
    """Serve objects by their id; give them, and the address."""
    objects = {hashlib.sha256(content).hexdigest(): content for content in contents}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = objects[self.path.strip("/")]
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield objects, f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
