"""What the front door refuses."""

from appliance.core.errors import ConflictError, InvalidError, UnavailableError


class UnsayableError(InvalidError):
    """A value cannot be written into Nginx's configuration, where it could mean something else."""

    code = "front_door_unsayable"


class NginxMissingError(UnavailableError):
    """There is no Nginx on this box."""

    code = "nginx_missing"


class NginxRefusedError(ConflictError):
    """Nginx does not take its configuration."""

    code = "nginx_refused"


class ReloadError(UnavailableError):
    """Nginx was told to take its configuration, and did not."""

    code = "nginx_not_reloaded"


class FrontDoorOffError(ConflictError):
    """There is no front door that could be asked for anything."""

    code = "front_door_off"
