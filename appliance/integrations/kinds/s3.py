"""A bucket of anything that speaks the protocol of Amazon S3. Pure."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from appliance.integrations.kinds.addresses import bracketed, host_problem
from appliance.integrations.kinds.ports import Destination, Kind, Secrets, Settings
from appliance.integrations.model import Variables

DEFAULTS: dict[str, Any] = {
    "endpoint": "",
    "bucket": "",
    "region": "us-east-1",
    "path_style": True,
}
_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]")
_REGION = re.compile(r"[a-z0-9][a-z0-9-]{0,40}")
_PORTS = {"https": 443, "http": 80}


class S3:
    """``S3_…`` and the variables that the kits of AWS read."""

    def settings(self, given: Settings) -> dict[str, Any]:
        """Return the settings with their defaults; without an endpoint, Amazon's own of the region."""
        found = {
            **DEFAULTS,
            **{name: given[name] for name in DEFAULTS if name in given},
        }
        if not found["endpoint"] and _REGION.fullmatch(str(found["region"])):
            found["endpoint"] = f"https://s3.{found['region']}.amazonaws.com"
        found["endpoint"] = str(found["endpoint"]).rstrip("/")
        return found

    def problems(self, settings: Settings, secrets: Secrets) -> dict[str, str]:
        """Return what is wrong, by field."""
        found = {"endpoint": _endpoint_problem(settings["endpoint"])}
        if not _BUCKET.fullmatch(str(settings["bucket"])):
            found["bucket"] = "give a bucket's name: 3 to 63 of a-z, 0-9, dot, - and _"
        if not _REGION.fullmatch(str(settings["region"])):
            found["region"] = "give a region such as us-east-1"
        for name in ("access_key_id", "secret_access_key"):
            if not secrets.get(name):
                found[name] = "is required"
        return {name: problem for name, problem in found.items() if problem}

    def variables(self, settings: Settings, secrets: Secrets) -> Variables:
        """Return the variables of both customs."""
        plain = {
            "S3_ENDPOINT": settings["endpoint"],
            "S3_BUCKET": settings["bucket"],
            "S3_REGION": settings["region"],
            "AWS_ENDPOINT_URL_S3": settings["endpoint"],
            "AWS_REGION": settings["region"],
            "AWS_DEFAULT_REGION": settings["region"],
        }
        secret = {
            f"{custom}_{name.upper()}": secrets[name]
            for name in ("access_key_id", "secret_access_key")
            for custom in ("S3", "AWS")
        }
        return Variables(plain, secret)

    def kept(self, settings: Settings) -> Mapping[str, str]:  # noqa: ARG002 - the port
        """Return by which variables the keys are kept."""
        return {
            "access_key_id": "S3_ACCESS_KEY_ID",
            "secret_access_key": "S3_SECRET_ACCESS_KEY",
        }

    def destinations(self, settings: Settings) -> tuple[Destination, ...]:
        """Return where it listens: by path, and under the bucket's own name where that is used."""
        host, port = where(settings["endpoint"])
        found = [Destination(host, port)]
        if not settings["path_style"]:
            found.append(Destination(f"{settings['bucket']}.{host}", port))
        return tuple(found)


KIND: Kind = S3()


def where(endpoint: str) -> tuple[str, int]:
    """Return host and port of an endpoint that was checked."""
    parts = urlsplit(endpoint)
    return parts.hostname or "", parts.port or _PORTS[parts.scheme]


def bucket_url(settings: Settings) -> str:
    """Return the address of the bucket."""
    endpoint, bucket = settings["endpoint"], settings["bucket"]
    if settings["path_style"]:
        return f"{endpoint}/{bucket}"
    parts = urlsplit(endpoint)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{bucket}.{bracketed(parts.hostname or '')}{port}/"


def _endpoint_problem(endpoint: str) -> str:
    try:
        parts = urlsplit(endpoint)
        is_whole = parts.scheme in _PORTS and parts.port != 0
    except ValueError:
        is_whole = False
        parts = urlsplit("")
    if not is_whole or parts.path or parts.query or parts.username is not None:
        return "give an address such as https://s3.example.org, without a path"
    return host_problem(parts.hostname)
