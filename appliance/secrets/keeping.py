"""Values sealed and opened, for those who are in a transaction already. Everything here runs inside ``database.run``."""

from appliance.secrets import envelope, sealed_store, store
from appliance.secrets.errors import SecretInvalidError, VaultValueMissingError
from appliance.secrets.master import MasterKeys
from appliance.secrets.model import (
    MAX_SECRETS,
    MAX_TOGETHER_BYTES,
    Delivery,
    Secret,
    VaultPlace,
)
from appliance.secrets.naming import check_name, check_value
from appliance.secrets.store import Kept


class SecretKeeper:
    """Puts values into the database, sealed, and gets them out.

    Args:
        keys: The master keys.
    """

    def __init__(self, keys: MasterKeys) -> None:
        """Read no key yet."""
        self._keys = keys

    def put(
        self,
        server_id: int,
        name: str,
        value: str | VaultPlace,
        *,
        by: str,
        delivery: Delivery | None = None,
        managed_by: str = "",
    ) -> Secret:
        """Set a secret; it is made if it is not there.

        Args:
            value: Or where in Vault it was put.
            by: Who sets it.
            delivery: ``None``: as before; in the environment at first.
            managed_by: Who looks after it, and alone may touch it; empty: people.

        Raises:
            SecretInvalidError: Name or value are not right, or the server has too many.
            SecretManagedError: Something else looks after it.
        """
        check_name(name)
        store.lock_secrets_of(server_id)
        place = store.next_place(server_id, name)
        known = {item.name: item for item in store.of_server(server_id)}
        if name not in known and len(known) >= MAX_SECRETS:
            raise SecretInvalidError.field(
                "name", f"a server has at most {MAX_SECRETS} secrets"
            )
        if delivery is None:
            delivery = known[name].delivery if name in known else Delivery.ENV
        kept = value if isinstance(value, VaultPlace) else self._seal(value, place)
        store.put(place, kept, delivery=delivery, by=by, managed_by=managed_by)
        return store.get(server_id, name)

    def remove(self, server_id: int, name: str, *, managed_by: str = "") -> Secret:
        """Take a secret away.

        Raises:
            SecretNotFoundError: It is not there.
            SecretManagedError: Something else looks after it.
        """
        store.lock_secrets_of(server_id)
        return store.remove(server_id, name, managed_by=managed_by)

    def read(self, server_id: int, name: str) -> str:
        """Return the newest value of a secret that is kept here.

        Raises:
            SecretNotFoundError: It is not there.
            VaultValueMissingError: It is kept in Vault, which nobody can ask in a transaction.
            MasterKeyError: Its master key is not to be had.
        """
        store.get(server_id, name)
        (kept,) = (item for item in store.current(server_id) if item.place.name == name)
        return self.open(kept)

    def open(self, kept: Kept) -> str:
        """Return a value that is kept here.

        Raises:
            MasterKeyError: Its master key is not to be had.
            SealBrokenError: It was changed.
            VaultValueMissingError: It is kept in Vault.
        """
        if kept.sealed is None:
            raise VaultValueMissingError(f"{kept.place.name} is not kept here.")
        return envelope.unseal(self._keys.ring(), kept.sealed, kept.place).decode()

    # -- values that are nobody's environment

    def seal_away(
        self, place: envelope.Place, value: str, *, user_id: int | None
    ) -> None:
        """Keep a value that no container gets, in place of the one that was there; it goes with its server and its person.

        Args:
            place: Its name has a space, so that no secret has the same.
            value: Of any length.
            user_id: Whose it is; ``None``: the server's.

        Raises:
            MasterKeyError: The master key is not to be had.
        """
        store.lock_keys(alone=False)
        sealed = envelope.seal(self._keys.ring(), value.encode(), place)
        sealed_store.put(place, sealed, user_id=user_id)

    def sealed_away(self, server_id: int, name: str) -> str | None:
        """Return such a value; ``None``: there is none.

        Raises:
            MasterKeyError: Its master key is not to be had.
            SealBrokenError: It was changed.
        """
        found = sealed_store.get(server_id, name)
        if found is None:
            return None
        place, sealed = found
        return envelope.unseal(self._keys.ring(), sealed, place).decode()

    def forget_sealed(self, server_id: int, name: str) -> None:
        """Forget such a value. Unknown: nothing to do."""
        sealed_store.remove(server_id, name)

    def _seal(self, value: str, place: envelope.Place) -> envelope.Envelope:
        raw = check_value(value)
        others = store.sealed_bytes(place.server_id, but=place.name)
        if others + len(raw) > MAX_TOGETHER_BYTES:
            raise SecretInvalidError.field(
                "value",
                f"a server's secrets have at most {MAX_TOGETHER_BYTES:,} bytes together",
            )
        # Until this transaction ends, nobody takes the key away that it uses.
        store.lock_keys(alone=False)
        return envelope.seal(self._keys.ring(), raw, place)
