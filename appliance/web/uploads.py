"""Files that come as multipart/form-data, read as they come: what a browser's form and curl -F send."""

from collections.abc import AsyncIterator

from aiohttp import BodyPartReader, web

from appliance.core.errors import InvalidError
from appliance.web.problems import MalformedError, UnsupportedMediaError
from appliance.web.requests import move_time_limit

#: Seconds that an upload may take.
UPLOAD_TIMEOUT_S = 900.0
_CHUNK = 256 * 1024
MULTIPART = "multipart/form-data"


async def file_of(request: web.Request, name: str) -> BodyPartReader:
    """Return the part of this name, ready to be read; what stands before it is passed over.

    Raises:
        UnsupportedMediaError: The body is not multipart/form-data.
        InvalidError: There is no such part.
    """
    if request.content_type != MULTIPART:
        raise UnsupportedMediaError(
            "The file must come as multipart/form-data.",
            hint=f"For example: curl -F {name}=@server.tar.gz",
        )
    move_time_limit(request, UPLOAD_TIMEOUT_S)
    try:
        reader = await request.multipart()
        while (part := await reader.next()) is not None:
            if isinstance(part, BodyPartReader) and part.name == name:
                return part
    except ValueError as error:
        raise UnsupportedMediaError("The body is not multipart/form-data.") from error
    raise InvalidError.field(name, "is required: a tar.gz or zip file")


async def parts_of(request: web.Request) -> AsyncIterator[BodyPartReader]:
    """Yield a form's parts in their order; each is to be read before the next is asked for.

    Raises:
        MalformedError: The body is not what it says.
    """
    move_time_limit(request, UPLOAD_TIMEOUT_S)
    try:
        reader = await request.multipart()
        while (part := await reader.next()) is not None:
            if isinstance(part, BodyPartReader):
                yield part
    except ValueError as error:
        raise MalformedError("The form cannot be read.") from error


async def text_of(part: BodyPartReader, *, room: int) -> str:
    """Return a text control's value.

    Raises:
        MalformedError: It is longer than ``room`` bytes, or no text.
    """
    found = bytearray()
    while chunk := await part.read_chunk(_CHUNK):
        found += chunk
        if len(found) > room:
            raise MalformedError("The form holds too much text.")
    try:
        text = found.decode()
    except UnicodeDecodeError as error:
        raise MalformedError("The form holds characters that are not text.") from error
    if "\0" in text:
        raise MalformedError("The form holds characters that are not text.")
    return text


async def chunks_of(part: BodyPartReader) -> AsyncIterator[bytes]:
    """Yield a part's bytes as they come."""
    while chunk := await part.read_chunk(_CHUNK):
        yield bytes(chunk)
