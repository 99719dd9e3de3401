"""What may happen to what others should be told."""

from appliance.core.errors import FailedError, UnavailableError


class NotSentError(UnavailableError):
    """What should be told did not arrive; it is tried again."""

    code = "not_sent"


class SendRefusedError(FailedError):
    """What should be told cannot be sent there at all."""

    code = "send_refused"
