"""What the documents promise to whom, as a table of its own: the product's rule is measured against it, not against itself."""

from collections.abc import Mapping
from dataclasses import dataclass

from appliance.accounts.access import Kind, Thing
from appliance.accounts.model import Action, MemberRole, Role


def _set(words: str) -> frozenset[Action]:
    return frozenset(Action(word) for word in words.split())


#: What members do with what belongs to their organisation (docs/organisations.md, Roles).
WITH_ITS_THINGS: Mapping[MemberRole, frozenset[Action]] = {
    MemberRole.READER: _set("see call"),
    MemberRole.DEPLOYER: _set("see call deploy"),
    MemberRole.MAINTAINER: _set("see call deploy change create delete"),
    MemberRole.OWNER: _set("see call deploy change create delete transfer"),
}
#: What members do with the organisation itself.
WITH_ITSELF: Mapping[MemberRole, frozenset[Action]] = {
    MemberRole.READER: _set("see"),
    MemberRole.DEPLOYER: _set("see"),
    MemberRole.MAINTAINER: _set("see"),
    MemberRole.OWNER: _set("see change delete manage"),
}


@dataclass(frozen=True)
class Rights:
    """What a credential that works stands for."""

    role: Role = Role.MEMBER
    #: In the organisation that is asked about; ``None``: a stranger to it.
    member: MemberRole | None = None
    #: ``None``: not narrowed.
    actions: frozenset[Action] | None = None
    #: Numbers of the only servers that it is for; ``None``: not narrowed.
    servers: frozenset[int] | None = None
    #: Whether it acts for an organisation, not for a person.
    is_service: bool = False
    #: Whether it is a short-lived token.
    is_token: bool = False

    @property
    def sees(self) -> bool:
        """Whether pages can be shown to it."""
        return self.actions is None or Action.SEE in self.actions

    @property
    def is_unnarrowed(self) -> bool:
        """Whether it may do whatever its holder may, as far as actions and servers go."""
        return self.actions is None and self.servers is None

    @property
    def is_whole(self) -> bool:
        """Whether it may make more of itself: keys, tokens, passwords, sessions (docs/keys.md)."""
        return self.is_unnarrowed and not self.is_token

    @property
    def administers(self) -> bool:
        """Whether it is let in where administrators alone are."""
        has_word = self.actions is None or Action.ADMINISTER in self.actions
        return self.role is Role.ADMIN and has_word and self.servers is None

    @property
    def reads_the_box(self) -> bool:
        """Whether it may read what is of the box: administrators and readers of it, with what sees."""
        has_word = self.actions is None or Action.SEE in self.actions
        return self.role is not Role.MEMBER and has_word and self.servers is None

    @property
    def creates(self) -> bool:
        """Whether it may add something for whoever holds it; a key of an organisation has nothing of its own."""
        if self.is_service or self.role is Role.READER or self.servers is not None:
            return False
        return self.actions is None or Action.CREATE in self.actions

    def with_thing(self, thing: Thing) -> frozenset[Action]:
        """Return what it may do with a thing of the organisation."""
        if self.servers is not None and thing.server_id not in self.servers:
            return frozenset()
        if self.role is Role.ADMIN:
            standing = frozenset(Action)
        elif self.role is Role.READER:
            standing = _set("see")
        elif self.member is None:
            standing = frozenset()
        else:
            table = WITH_ITSELF if thing.kind is Kind.ORG else WITH_ITS_THINGS
            standing = table[self.member]
        return standing if self.actions is None else standing & self.actions
