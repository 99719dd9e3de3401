"""What is refused of a source before anything is built.

InvalidError ── UploadTooLargeError, UploadUnknownError, UploadIncompleteError, ServerJsonUnsupportedError
LimitedError ── UploadQuotaError
"""

from appliance.core.errors import InvalidError, LimitedError


class UploadTooLargeError(InvalidError):
    """The archive is larger than ARCHIVE_MAX_MIB."""

    code = "upload_too_large"


class UploadIncompleteError(InvalidError):
    """The upload holds no archive: it is empty, or neither tar.gz nor zip."""

    code = "upload_not_an_archive"


class UploadUnknownError(InvalidError):
    """The caller brought no archive of this digest, or its file is gone."""

    code = "upload_unknown"


class UploadQuotaError(LimitedError):
    """The caller's archives fill ARCHIVE_QUOTA_MIB."""

    code = "upload_quota"


class ServerJsonUnsupportedError(InvalidError):
    """A registry entry offers nothing that can be hosted here."""

    code = "server_json_unsupported"
