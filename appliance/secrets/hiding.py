"""Which values are hidden where a server prints them. Pure."""

from urllib.parse import unquote, urlsplit

from appliance.core.secret_names import looks_secret

_URL = "://"


def hidden_of(name: str, value: str, *, managed_by: str) -> set[str]:
    """Return what is hidden of a value: itself, and the password in it if it is an address.

    Some of what an integration hands over is no secret, such as a host or the name of a bucket; to hide such words would
    take them from every line of a log.
    """
    if managed_by and not looks_secret(name) and _URL not in value:
        return set()
    return {value} | _password(value)


def _password(value: str) -> set[str]:
    try:
        password = urlsplit(value).password if _URL in value else None
    except ValueError:
        return set()
    return {password, unquote(password)} if password else set()
