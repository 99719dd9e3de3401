"""Which names stand for secrets, by the words in them. Pure."""

import re
from collections.abc import Collection, Mapping

from pydantic import SecretStr

_SECRET = re.compile(
    r"pass(word|wd|phrase|code)|secret|token|authorization|cookie|api[-_ ]?key|private[-_]?key|access[-_]?key"
    r"|credential|^key$|[-_]key$|^auth$|^dsn$|database_url|signature$",
    re.IGNORECASE,
)
#: Names in which such a word means something else.
_HARMLESS = re.compile(
    r"tokens$|token_?(count|limit|usage|type|budget|id)$|tokeni[sz]|public[-_]?key"
    r"|(key|token|secret|password|cookie)s?_?(file|path|name|dir)$",
    re.IGNORECASE,
)


def looks_secret(name: str) -> bool:
    """Return whether a setting of this name holds a secret, as far as a name can tell.

    >>> [looks_secret(name) for name in ("GITHUB_TOKEN", "MAX_TOKENS", "TZ")]
    [True, False, False]
    """
    return bool(_SECRET.search(name)) and not _HARMLESS.search(name)


def sorted_out(
    settings: Mapping[str, str], known: Collection[str] = ()
) -> tuple[dict[str, SecretStr], dict[str, str]]:
    """Return the secret ones among settings, and the others.

    Args:
        settings: By name.
        known: Names of what is secret already.
    """
    secret = {name for name in settings if name in known or looks_secret(name)}
    return (
        {name: SecretStr(settings[name]) for name in settings if name in secret},
        {name: settings[name] for name in settings if name not in secret},
    )
