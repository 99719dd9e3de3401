"""What a ``dockerconfigjson`` says of one registry. Pure.

    {"auths": {"registry.example.org": {"auth": "<base64 of user:password>"}}}

``username`` and ``password`` may stand there instead of ``auth``, and ``identitytoken`` beside either. Credential helpers
(``credHelpers``, ``credsStore``) are programs that a desktop runs; they are not run here, and a file that needs one is told so.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pydantic import SecretStr

from appliance.core.errors import InvalidError
from appliance.registry.auth import Credentials
from appliance.registry.model import config_keys

#: Far more than any such file has; a file that is larger is another.
MAX_BYTES = 1024 * 1024
_JWT_PARTS = 3


class DockerConfigError(InvalidError):
    """The file with the registry's credentials cannot be used; the text never quotes it."""

    code = "registry_docker_config"


def credentials_for(text: str | bytes, host: str) -> Credentials | None:
    """Return what the configuration knows of ``host``; ``None``: nothing.

    Raises:
        DockerConfigError: It is not a dockerconfigjson, its entry is broken, or only a helper has the credentials.
    """
    config = _config(text)
    auths = config.get("auths", {})
    if not isinstance(auths, dict):
        raise DockerConfigError("auths: must be an object of registries.")
    names = _names(host)
    entry = next(
        (value for key, value in auths.items() if _name(str(key)) in names and value),
        None,
    )
    if entry is not None:
        return _credentials(entry, host)
    if helper := _helper(config, names):
        raise DockerConfigError(
            f"The credentials of {host} are kept by the credential helper {helper!r}, and helpers are not run.",
            hint="Log in with an empty credsStore, or have REGISTRY_AUTH_REFRESH_COMMAND print a dockerconfigjson.",
        )
    return None


def expiry_of(credentials: Credentials) -> datetime | None:
    """Return when the credentials say themselves that they end: the earliest ``exp`` of those that are JSON web tokens.

    Nothing is verified here: the registry decides. It only tells when to look for new ones.
    """
    secrets = (credentials.identity_token, credentials.password)
    found = [_exp(item.get_secret_value()) for item in secrets if item is not None]
    return min((item for item in found if item is not None), default=None)


def _config(text: str | bytes) -> Mapping[str, Any]:
    if len(text) > MAX_BYTES:
        raise DockerConfigError("The file is too large to be a dockerconfigjson.")
    try:
        config = json.loads(text)
    except (ValueError, RecursionError):
        # From nothing: the error's own text would quote the file.
        raise DockerConfigError("It is not JSON.") from None
    if not isinstance(config, dict):
        raise DockerConfigError(
            'It is not a dockerconfigjson, which is an object with "auths".'
        )
    return config


def _names(host: str) -> set[str]:
    return {_name(key) for key in config_keys(host)}


def _name(key: str) -> str:
    """Return a key without what does not tell registries apart: scheme, API version, capitals."""
    bare = key.strip().lower()
    for scheme in ("https://", "http://"):
        bare = bare.removeprefix(scheme)
    bare = bare.rstrip("/")
    for version in ("/v1", "/v2"):
        bare = bare.removesuffix(version)
    return bare


def _helper(config: Mapping[str, Any], names: set[str]) -> str:
    helpers = config.get("credHelpers")
    if isinstance(helpers, dict):
        for key, value in helpers.items():
            if _name(str(key)) in names:
                return str(value)
    store = config.get("credsStore")
    return store if isinstance(store, str) else ""


def _credentials(entry: object, host: str) -> Credentials:
    if not isinstance(entry, dict):
        raise DockerConfigError(f"auths: the entry of {host} must be an object.")
    username, password = _text(entry, "username", host), _text(entry, "password", host)
    if auth := _text(entry, "auth", host):
        username, password = _pair(auth, host)
    token = _text(entry, "identitytoken", host)
    if not token and not (username and password):
        raise DockerConfigError(
            f"auths: the entry of {host} has neither auth, nor username and password, nor identitytoken."
        )
    return Credentials(
        username, SecretStr(password), SecretStr(token) if token else None
    )


def _text(entry: Mapping[str, Any], name: str, host: str) -> str:
    value = entry.get(name) or ""
    # What ends up in a header must not begin another.
    if not isinstance(value, str) or any(ord(char) < ord(" ") for char in value):
        raise DockerConfigError(f"auths: {name} of {host} must be one line of text.")
    return value


def _pair(auth: str, host: str) -> tuple[str, str]:
    problem = f"auths: auth of {host} must be the base64 of user:password."
    try:
        plain = base64.b64decode(auth, validate=True).decode().rstrip("\0")
    except (binascii.Error, ValueError):
        raise DockerConfigError(problem) from None
    username, colon, password = plain.partition(":")
    if not colon or any(ord(char) < ord(" ") for char in plain):
        raise DockerConfigError(problem)
    return username, password


def _exp(token: str) -> datetime | None:
    parts = token.split(".")
    if len(parts) != _JWT_PARTS:
        return None
    try:
        padded = parts[1] + "=" * (-len(parts[1]) % 4)
        claims = json.loads(base64.urlsafe_b64decode(padded))
        exp = claims["exp"] if isinstance(claims, dict) else None
        if isinstance(exp, bool) or not isinstance(exp, int | float):
            return None
        return datetime.fromtimestamp(exp, UTC)
    except (ValueError, KeyError, OverflowError, OSError, RecursionError):
        return None
