"""The registry's credentials are rotated. Pure."""

from collections.abc import Mapping
from typing import Any

from appliance.governance.steps.base import Reader, Setting


class CredentialRotationKind:
    """Rotates the registry's credentials."""

    name = "credential-rotation"
    label = "Credential rotation"
    help = "Has the registry's credentials replaced, and fails when there are no fresh ones."
    is_automatic = True
    settings: tuple[Setting, ...] = ()

    def parse(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings: there are none."""
        Reader(config).end()
        return {}

    def describe(self, config: Mapping[str, Any]) -> str:  # noqa: ARG002 - there are no settings
        """Return what is waited for."""
        return "fresh credentials of the registry"
