"""Keeps our table in the kernel's firewall, and each bridge as it must be."""

from appliance.egress import command, links, rules
from appliance.egress.config import EgressConfig
from appliance.egress.errors import NoRightsError
from appliance.egress.nflog import PacketLog
from appliance.egress.policies import Board

#: nft 1.0.6 can die of a signal where others change their tables meanwhile; the kernel has taken all or nothing then.
_CRASHED = "nft ended with -"
_TRIES = 3


class Firewall:
    """Our table: made, kept, taken away.

    Raises:
        NoRightsError: This process may not, or the box lacks what it takes.
    """

    def __init__(
        self, config: EgressConfig, board: Board, *, dns_port: int, tcp_port: int
    ) -> None:
        """Find out whether it can be done; changes nothing."""
        for program, package in (("nft", "nftables"), ("ip", "iproute2")):
            if not command.has(program):
                raise NoRightsError(
                    f"The program {program} is not installed (package {package})."
                )
        if not links.has_rights():
            raise NoRightsError(
                "The appliance neither runs as root nor has the capability NET_ADMIN, so it cannot set the firewall's rules."
            )
        self.log = PacketLog()
        self._board = board
        self._prefix = config.prefix
        self._ground = rules.Ground(
            prefix=config.prefix,
            pool=config.pool,
            dns_port=dns_port,
            tcp_port=tcp_port,
            group=self.log.group,
        )

    def make(self) -> None:
        """Make the table anew, in one step.

        Raises:
            NoRightsError: The kernel refused; carries its words.
        """
        self._load(rules.skeleton(self._ground, *self._elements()))

    def update(self) -> None:
        """Bring what is allowed up to the board; the table is made if it is gone."""
        if command.run(
            "nft", "-f", "-", text=rules.update(self._ground, *self._elements())
        ):
            self.make()

    def allow(self, server: int, address: str) -> None:
        """Let a server reach a name's address, on the ports that its policy has for the name."""
        name = self._board.names.by_address[address]
        ports = self._board.policies[server].ports(name)
        found = rules.elements(
            self._prefix, [(server, address, port) for port in ports]
        )
        if command.run("nft", "-f", "-", text=rules.addition(self._ground, found)):
            self.make()

    def is_there(self) -> bool:
        """Return whether the table is in the kernel."""
        return not command.run("nft", "list", "table", "inet", self._ground.table)

    def remove(self) -> None:
        """Take the table away."""
        command.run("nft", "-f", "-", text=rules.removal(self._ground))

    def _elements(self) -> tuple[str, str]:
        return (
            rules.elements(self._prefix, self._board.allowed()),
            rules.bridges(self._prefix, self._board.open_servers()),
        )

    def _load(self, text: str) -> None:
        complaint = _CRASHED
        for _ in range(_TRIES):
            if complaint.startswith(_CRASHED):
                complaint = command.run("nft", "-f", "-", text=text)
        if complaint:
            raise NoRightsError(
                f"The kernel refused the firewall's rules: {complaint.splitlines()[0][:300]}"
            )
