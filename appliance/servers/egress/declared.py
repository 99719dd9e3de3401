"""Where a server says that it needs to go: a known entry, or addresses among its settings. Pure."""

import re
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_address
from urllib.parse import urlsplit

from appliance.artifacts.wellknown import KNOWN, WellKnown
from appliance.core.egress import EgressMode, EgressPolicy, is_entry
from appliance.servers.model import ServerConfig
from appliance.sources.model import ImageSource, PackageSource, Source

#: Ports of addresses that name none.
PORTS = {
    "http": 80,
    "https": 443,
    "ws": 80,
    "wss": 443,
    "postgres": 5432,
    "postgresql": 5432,
    "mysql": 3306,
    "redis": 6379,
    "rediss": 6379,
    "mongodb": 27017,
    "amqp": 5672,
    "amqps": 5671,
    "nats": 4222,
    "smtp": 25,
    "smtps": 465,
    "imaps": 993,
    "ldap": 389,
    "ldaps": 636,
}
_ADDRESS = re.compile(rf"\b(?:{'|'.join(PORTS)})://[^\s\"'<>]{{1,2000}}", re.IGNORECASE)
#: Settings whose mere name says what they open.
KEYS = {
    "ANTHROPIC_API_KEY": "api.anthropic.com:443",
    "BRAVE_API_KEY": "api.search.brave.com:443",
    "FIRECRAWL_API_KEY": "api.firecrawl.dev:443",
    "GITHUB_PERSONAL_ACCESS_TOKEN": "api.github.com:443",
    "GITHUB_TOKEN": "api.github.com:443",
    "GITLAB_TOKEN": "gitlab.com:443",
    "HF_TOKEN": "huggingface.co:443",
    "NOTION_TOKEN": "api.notion.com:443",
    "OPENAI_API_KEY": "api.openai.com:443",
    "SLACK_BOT_TOKEN": "slack.com:443",
    "STRIPE_SECRET_KEY": "api.stripe.com:443",
    "TAVILY_API_KEY": "api.tavily.com:443",
}


def known(source: Source) -> WellKnown | None:
    """Return the entry of a source that this product knows, whatever its version."""
    if isinstance(source, PackageSource):
        name = f"{source.ecosystem.value}:{source.name}".lower()
        return next((item for item in KNOWN if item.package.lower() == name), None)
    if isinstance(source, ImageSource):
        name = _without_tag(source.reference)
        return next(
            (i for i in KNOWN if i.image and _without_tag(i.image) == name), None
        )
    return None


def _without_tag(reference: str) -> str:
    path, slash, last = reference.partition("@")[0].rpartition("/")
    return path + slash + last.partition(":")[0]


def declared(
    source: Source, config: ServerConfig, secrets: Sequence[str] = ()
) -> dict[str, str]:
    """Return ``host:port`` of everything it seems to need, with where that was found.

    Args:
        secrets: Names of its secret settings; their values are not looked into.
    """
    found: dict[str, str] = {}
    if entry := known(source):
        found |= dict.fromkeys(entry.hosts, f"{entry.title} is known to need it")
    for name in (*config.environment, *secrets):
        if host := KEYS.get(name):
            found.setdefault(host, f"the setting {name} is for it")
    for name, value in config.environment.items():
        for host in addresses(value):
            found.setdefault(host, f"the setting {name} has it")
    for value in config.arguments:
        for host in addresses(value):
            found.setdefault(host, "an argument has it")
    return found


def addresses(text: str) -> Iterator[str]:
    """Yield ``host:port`` of the addresses in a text, but of those that mean the container itself."""
    for match in _ADDRESS.finditer(text):
        try:
            parts = urlsplit(match[0])
            host, port = (parts.hostname or "").lower(), parts.port
        except ValueError:
            continue
        entry = f"{host}:{port or PORTS[parts.scheme.lower()]}"
        if is_entry(entry) and not _is_itself(host):
            yield entry


def _is_itself(host: str) -> bool:
    try:
        parsed = ip_address(host)
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
    return parsed.is_loopback or parsed.is_unspecified


def effective(
    chosen: EgressPolicy | None,
    source: Source,
    found: Mapping[str, str],
    services: Sequence[str] = (),
) -> EgressPolicy:
    """Return what counts.

    Args:
        chosen: What somebody set; ``None``: nobody did, so what was declared is allowed.
        found: What ``declared`` says.
        services: ``host:port`` of service integrations, which whoever added them wants reached, wherever they are.
    """
    entry = known(source)
    policy = chosen or EgressPolicy(
        mode=EgressMode(entry.egress) if entry else EgressMode.ALLOW_LIST,
        hosts=tuple(found),
    )
    if policy.mode is EgressMode.NONE:
        return policy
    return EgressPolicy(
        mode=policy.mode,
        hosts=tuple(dict.fromkeys((*policy.hosts, *services))),
        private=tuple(dict.fromkeys((*policy.private, *services))),
        learn=policy.learn,
    )
