"""What can go wrong with secrets."""

from appliance.core.errors import (
    ConflictError,
    FailedError,
    InvalidError,
    NotFoundError,
    UnavailableError,
)


class SecretNotFoundError(NotFoundError):
    """The server has no secret of that name."""

    code = "secret_not_found"


class SecretInvalidError(InvalidError):
    """A name, a value or a choice is wrong."""

    code = "secret_invalid"


class SecretManagedError(ConflictError):
    """Something else looks after this secret."""

    code = "secret_managed"


class MasterKeyError(UnavailableError):
    """The master key that a value was sealed under is not to be had."""

    code = "master_key_missing"


class SealBrokenError(FailedError):
    """A sealed value does not open: it was changed, or moved to another place."""

    code = "secret_seal_broken"


class VaultAwayError(UnavailableError):
    """Vault does not answer, is sealed, or does not let us in."""

    code = "vault_away"


class VaultValueMissingError(UnavailableError):
    """Vault has no value where the database says that there is one."""

    code = "vault_value_missing"
