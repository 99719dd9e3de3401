"""What the settings say about certificates."""

from appliance.certificates.challenges import Ways
from appliance.certificates.plan import Box, is_public
from appliance.settings import LETS_ENCRYPT_STAGING, Settings


def box_of(settings: Settings) -> Box:
    """Return what the settings say about orders."""
    names = (*settings.box_names[:1], *settings.gateway_names)
    return Box(
        names=tuple(filter(is_public, names)) if settings.public_url else (),
        base_domain=settings.base_domain,
        directory_url=settings.acme_directory,
        is_staging=settings.acme_staging,
        staging_url=LETS_ENCRYPT_STAGING,
        can_order=bool(settings.acme_email),
        ways=Ways(
            settings.acme_challenge, settings.can_set_records, settings.base_domain
        ),
    )
