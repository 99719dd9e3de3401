"""What happens to certificates, told to whoever looks. Runs inside ``database.run``."""

from appliance.certificates import store
from appliance.observability.events import publish_in_transaction

#: Kind of the live event for everything that happens to a certificate.
CHANGED = "certificate.changed"


def happened(certificate_id: int, kind: str, text: str) -> None:
    """Write what happened, and tell pages that are open."""
    store.tell(certificate_id, kind, text)
    publish_in_transaction(
        CHANGED, data={"certificate_id": certificate_id, "what": kind}
    )
