"""Names in a bundle, and whose they are. Pure; ``core/tool_names.py`` says why each leads to one member."""

from collections.abc import Sequence

from appliance.core.tool_names import exposed_name
from appliance.gateway.members import Member

#: Before a resource's own URI and its member's prefix: the member is named, whoever else has the same URI.
SCHEME = "bundle:"


class Names:
    """Translates both ways.

    Args:
        members: In the bundle's order; those that are not permitted have no names.
    """

    def __init__(self, members: Sequence[Member], separator: str) -> None:
        """Look up what the bundle chose itself."""
        self._separator = separator
        self._members = [member for member in members if member.is_permitted]
        self._chosen = {
            said.name: (member, tool)
            for member in self._members
            for tool, said in member.overrides.items()
            if said.name
        }

    def tool(self, member: Member, name: str) -> str | None:
        """Return what clients call a member's tool; ``None``: it is not offered."""
        if member.tools is not None and name not in member.tools:
            return None
        override = member.overrides.get(name)
        chosen = override.name if override is not None else ""
        return exposed_name(member.prefix, self._separator, name, chosen)

    def prompt(self, member: Member, name: str) -> str | None:
        """Return what clients call a member's prompt; ``None``: it cannot be offered."""
        return exposed_name(member.prefix, self._separator, name)

    def find_tool(self, exposed: str) -> tuple[Member, str] | None:
        """Return whose tool clients call ``exposed``, and its own name; ``None``: nobody's."""
        found = self._chosen.get(exposed) or self.find_prompt(exposed)
        return found if found and self.tool(*found) == exposed else None

    def find_prompt(self, exposed: str) -> tuple[Member, str] | None:
        """Return whose prompt clients call ``exposed``, and its own name; ``None``: nobody's."""
        for member in self._members:
            head = member.prefix + self._separator
            if exposed.startswith(head) and len(exposed) > len(head):
                return member, exposed[len(head) :]
        return None

    def find_uri(self, uri: str) -> tuple[Member, str] | None:
        """Return the member that ``uri`` names itself, and the member's own URI; ``None``: it names none."""
        if not uri.startswith(SCHEME):
            return None
        prefix, _, own = uri[len(SCHEME) :].partition(":")
        for member in self._members:
            if member.prefix == prefix and own:
                return member, own
        return None


def named_uri(member: Member, uri: str) -> str:
    """Return ``uri`` in the form that names its member."""
    return f"{SCHEME}{member.prefix}:{uri}"
