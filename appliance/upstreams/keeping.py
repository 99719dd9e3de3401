"""What is secret of a connection: sealed while it rests, which runs inside ``database.run``, and in memory for the gateway."""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import SecretStr

from appliance.core.clock import now
from appliance.core.upstreams import TOKENS, Token, file_name
from appliance.infra.memory_files import MemoryFiles
from appliance.secrets.envelope import Place
from appliance.secrets.keeping import SecretKeeper
from appliance.upstreams.model import Connection, Tokens

#: Of the client that somebody registered by hand.
GIVEN_CLIENT = "upstream client"


@dataclass(frozen=True)
class KeptTokens:
    """What lies sealed of a connection."""

    access: SecretStr
    refresh: SecretStr | None


class TokenKeeper:
    """Keeps tokens.

    Args:
        keeper: Seals them.
        files: Where the gateway finds them.
    """

    def __init__(self, keeper: SecretKeeper, files: MemoryFiles) -> None:
        """Keep both."""
        self._keeper = keeper
        self._files = files

    # -- at rest

    def seal(self, connection: Connection, serial: int, tokens: Tokens) -> None:
        """Keep a connection's tokens; a refresh token that was not replaced stays.

        Raises:
            MasterKeyError: The master key is not to be had.
        """
        refresh = tokens.refresh
        if refresh is None and serial > 1 and serial != connection.serial:
            before = self.opened(connection)
            refresh = before.refresh if before else None
        values = {
            "access": tokens.access.get_secret_value(),
            "refresh": refresh.get_secret_value() if refresh else None,
        }
        place = Place(connection.server_id, _name(connection.id), serial)
        self._keeper.seal_away(place, json.dumps(values), user_id=connection.user_id)

    def opened(self, connection: Connection) -> KeptTokens | None:
        """Return a connection's tokens; ``None``: there are none.

        Raises:
            MasterKeyError: The master key is not to be had.
            SealBrokenError: They were changed.
        """
        text = self._keeper.sealed_away(connection.server_id, _name(connection.id))
        if text is None:
            return None
        values = json.loads(text)
        refresh = values["refresh"]
        return KeptTokens(
            SecretStr(values["access"]), SecretStr(refresh) if refresh else None
        )

    def forget(self, connection: Connection) -> None:
        """Forget a connection's tokens."""
        self._keeper.forget_sealed(connection.server_id, _name(connection.id))

    def seal_client(self, server_id: int, name: str, secret: str) -> None:
        """Keep a client's secret.

        Raises:
            MasterKeyError: The master key is not to be had.
        """
        self._keeper.seal_away(Place(server_id, name, 1), secret, user_id=None)

    def client_secret(self, server_id: int, name: str) -> SecretStr | None:
        """Return a client's secret; ``None``: it has none.

        Raises:
            MasterKeyError: The master key is not to be had.
        """
        found = self._keeper.sealed_away(server_id, name)
        return None if found is None else SecretStr(found)

    def forget_client(self, server_id: int, name: str) -> None:
        """Forget a client's secret."""
        self._keeper.forget_sealed(server_id, name)

    # -- in memory; blocking

    def hand_over(self, connection: Connection, access: SecretStr) -> None:
        """Let the gateway use a connection.

        Raises:
            NoMemoryError: There is no memory for its token.
        """
        ends = connection.expires_at
        token = Token(
            access.get_secret_value(),
            ends.timestamp() if ends else None,
            connection.serial,
            connection.attempts,
            connection.reason,
        )
        self._files.hand(TOKENS, _file(connection), token.to_json())

    def take_back(self, connection: Connection) -> None:
        """Let the gateway use it no more."""
        self._files.take_back(TOKENS, _file(connection))

    def keep_only(self, connections: list[Connection]) -> None:
        """Take back whatever belongs to none of these."""
        wanted = {_file(item) for item in connections}
        for name in self._files.all_handed(TOKENS):
            if name not in wanted:
                self._files.take_back(TOKENS, name)


def registered_client(number: int) -> str:
    """Return under which name the secret of a registration lies."""
    return f"{GIVEN_CLIENT} {number}"


def ends_at(tokens: Tokens) -> datetime | None:
    """Return when tokens that came just now end; ``None``: nobody knows."""
    if tokens.expires_in is None:
        return None
    return now() + timedelta(seconds=tokens.expires_in)


def _name(connection_id: int) -> str:
    return f"upstream connection {connection_id}"


def _file(connection: Connection) -> str:
    return file_name(connection.server_id, connection.account)
