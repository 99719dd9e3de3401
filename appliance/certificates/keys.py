"""What private keys are sealed for, so that one that is moved to another row does not open there. Pure."""

#: The own CA's.
OWN_CA = "own-ca"


def key_purpose(certificate_id: int) -> str:
    """Return what the key of a certificate is sealed for, and that of its next one."""
    return f"certificate:{certificate_id}"


def account_purpose(directory_url: str) -> str:
    """Return what the key of the account at an authority is sealed for."""
    return f"acme-account:{directory_url}"
