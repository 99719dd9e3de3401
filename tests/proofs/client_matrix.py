"""Clients that nobody here wrote, each before three builds of one server behind this gateway: eight deeds.

What a client cannot do whatever it stands before is said in ``tests/harness/clients/matrix.py``, was measured without a
gateway, and shows as ``-``. Where its driver can try it nevertheless and it works, the proof breaks, too.
"""

from collections.abc import Mapping

from tests.harness.appliance import Appliance, Created
from tests.harness.clients.matrix import CLIENTS, DEEDS, Client
from tests.harness.conformance import BUILDS
from tests.harness.node import ensure_installed
from tests.proofs.claim import hold
from tests.proofs.conformance import hosted_builds


def prove() -> None:
    """Let every client do every deed at every build."""
    ensure_installed()
    with (
        Appliance.temporary(gw_workers=2) as appliance,
        hosted_builds(appliance, *BUILDS) as servers,
    ):
        print(f"{'client':<18}{'server':<8}{''.join(f'{deed:<10}' for deed in DEEDS)}")
        surprises = [
            surprise
            for client in CLIENTS
            for build, created in servers.items()
            for surprise in try_client(client, created, build)
        ]
    for client in CLIENTS:
        for deed, reason in client.cannot.items():
            print(f"{client.name} cannot {deed}: {reason}")
    for surprise in surprises:
        print(f"not as expected: {surprise}")
    total = len(servers) * sum(len(DEEDS) - len(client.cannot) for client in CLIENTS)
    hold(
        not surprises,
        f"{total - len(surprises)} of {total} deeds of {len(CLIENTS)} clients at {len(servers)} builds",
    )


def try_client(client: Client, created: Created, build: str) -> list[str]:
    """Let ``client`` do its deeds, print a row, and return what was not as expected."""
    outcomes = client.run(created.endpoint, f"Bearer {created.key}")
    row = "".join(f"{_mark(client, outcomes, deed):<10}" for deed in DEEDS)
    print(f"{client.name:<18}{build:<8}{row}", flush=True)
    return [
        f"{client.name} at {build}: {deed}: {outcomes.get(deed, 'not tried')}"
        for deed in DEEDS
        if (outcomes.get(deed) == "ok") == (deed in client.cannot)
    ]


def _mark(client: Client, outcomes: Mapping[str, str], deed: str) -> str:
    if outcomes.get(deed) == "ok":
        return "yes"
    return "-" if deed in client.cannot else "FAILS"
