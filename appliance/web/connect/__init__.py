"""What a person pastes into an MCP client to reach a server or a bundle. Pure; the API and the pages show the same."""

from appliance.core.errors import InvalidError
from appliance.web.connect.clients import CLIENTS
from appliance.web.connect.model import KEY_PLACEHOLDER, ClientConfig, Endpoint

__all__ = ["KEY_PLACEHOLDER", "ClientConfig", "chosen", "client_configs"]


def client_configs(
    name: str, endpoint: str, key: str = KEY_PLACEHOLDER
) -> tuple[ClientConfig, ...]:
    """Return the snippets for ``endpoint``, the general one first.

    Args:
        name: What the client shall call it.
        endpoint: Its URL.
        key: The endpoint key when it is at hand (just created), else the placeholder.
    """
    told = Endpoint(name, endpoint, key)
    return tuple(client.config(told) for client in CLIENTS)


def chosen(configs: tuple[ClientConfig, ...], client: str) -> tuple[ClientConfig, ...]:
    """Return the one snippet for ``client``; all of them when it is empty.

    Raises:
        InvalidError: There is none for it; the text names those that there are.
    """
    if not client:
        return configs
    found = tuple(item for item in configs if item.client == client)
    if not found:
        known = ", ".join(item.client for item in configs)
        raise InvalidError.field("client", f"is one of {known}")
    return found
