"""Images and what became of them, as several rooms speak of them. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True)
class PlatformImage:
    """An image on this box, made for one platform."""

    #: As buildx has it: ``linux/arm64``.
    platform: str
    #: The engine's id of it: ``sha256:…``.
    image_id: str
    #: The local name that holds it.
    tag: str


@dataclass(frozen=True)
class CredentialOutcome:
    """What was found out about the registry's credentials on the way, and what was done about them."""

    #: ``healthy``, ``expiring``, ``expired``, ``missing`` or ``anonymous``.
    health_status: str = "anonymous"
    refresh_attempted: bool = False
    refresh_succeeded: bool = False
    rotation_attempted: bool = False
    rotation_succeeded: bool = False


@dataclass(frozen=True)
class PublishedPlatform:
    """One platform's image as the registry keeps it."""

    platform: str
    #: ``host/namespace/name@sha256:…``.
    reference: str
    digest: str
    credentials: CredentialOutcome = CredentialOutcome()


@dataclass(frozen=True)
class Published:
    """What a registry keeps of one build."""

    #: ``host/namespace/name``.
    repository: str
    tag: str
    #: Of the manifest list, or of the one manifest.
    digest: str
    is_multi_arch: bool
    platforms: tuple[PublishedPlatform, ...]
    credentials: CredentialOutcome = CredentialOutcome()
