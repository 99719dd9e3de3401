"""The tabs of a server: few enough to be read at a glance, and what lies below each. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Tab:
    """One page of a server."""

    word: str
    #: What its address adds to the server's.
    tail: str
    #: Pages that are reached from it, and have no tab of their own.
    also: tuple[str, ...] = ()

    def leads_to(self, tail: str) -> bool:
        """Tell whether the page of an address, or the one that it lies below, is this tab's."""
        below = "/".join(tail.split("/")[:2])
        return below == self.tail or below in self.also


@dataclass(frozen=True)
class Group:
    """Pages that belong together; the first is where its tab leads, and gives it its name."""

    tabs: tuple[Tab, ...]

    @property
    def word(self) -> str:
        """What its tab says."""
        return self.tabs[0].word

    @property
    def tail(self) -> str:
        """Where its tab leads."""
        return self.tabs[0].tail

    def leads_to(self, tail: str) -> bool:
        """Tell whether a page is one of these."""
        return any(tab.leads_to(tail) for tab in self.tabs)


SERVER = (
    Group((Tab("Overview", ""), Tab("Metrics", "/metrics"), Tab("Health", "/health"))),
    Group(
        (
            Tab("Tools", "/tools"),
            Tab("Review", "/review"),
            Tab("Manifest", "/manifest"),
            Tab("Evaluations", "/evaluations"),
        )
    ),
    Group((Tab("Logs", "/logs"),)),
    Group((Tab("Invocations", "/invocations"),)),
    Group(
        (
            Tab("Deployments", "/deployments"),
            Tab("Build", "/build", ("/dockerfile",)),
            Tab("Decisions", "/decisions"),
        )
    ),
    Group(
        (
            Tab("Connect", "/connect"),
            Tab("Account", "/account"),
            Tab("Domains", "/domains"),
        )
    ),
    Group((Tab("Files", "/files"),)),
    Group(
        (
            Tab("Config", "/config"),
            Tab("Secrets", "/secrets"),
            Tab("Egress", "/egress"),
            Tab("Isolation", "/isolation"),
            Tab("Services", "/services"),
            Tab("Webhook", "/webhook"),
        )
    ),
)
