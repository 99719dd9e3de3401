"""Which file an address of ours means, byte by byte as it was sent: names need not be text."""

from urllib.parse import parse_qs

from aiohttp import web

from appliance.files.paths import Parts, from_address, from_text


def path_of(request: web.Request) -> Parts:
    """Return the path at the end of the address.

    Raises:
        FilePathError: It is none that a file can have.
    """
    return from_address(request.rel_url.raw_path.partition("/files/")[2])


def folder_of(request: web.Request) -> Parts:
    """Return what the query's ``path`` names; empty: ``/data`` itself.

    Raises:
        FilePathError: It is none that a folder can have.
    """
    raw = request.rel_url.raw_query_string
    found = parse_qs(raw, errors="surrogateescape").get("path", [""])
    return from_text(found[-1])
