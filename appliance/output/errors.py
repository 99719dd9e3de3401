"""What can be wrong with a question about a server's output."""

from appliance.core.errors import InvalidError


class CursorError(InvalidError):
    """The cursor is none of ours."""

    code = "invalid_cursor"
