"""What the product refuses about alerts."""

from appliance.core.errors import ConflictError, NotFoundError


class AlertNotFoundError(NotFoundError):
    """There is no such alert."""

    code = "alert_not_found"


class AlertEndedError(ConflictError):
    """The alert has ended."""

    code = "alert_ended"


class ChannelNotFoundError(NotFoundError):
    """There is no such channel."""

    code = "alert_channel_not_found"


class TooManyChannelsError(ConflictError):
    """No more channels are kept."""

    code = "alert_channels_full"
