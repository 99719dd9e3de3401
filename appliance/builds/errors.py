"""Why a build did not come to an image.

    FailedError
    └── BuildFailedError            a step failed, in a way that has no name of its own
        ├── PackageNotFoundError        ├── RepositoryNotFoundError     ├── ImageNotFoundError
        ├── PackageVersionNotFoundError ├── RepositoryRefusedError      ├── DiskFullError
        ├── PackageTooNewError
        ├── PackageUnfitError           ├── BranchNotFoundError         ├── NetworkUnreachableError
        ├── NoProgramError              ├── ProjectNotRecognisedError   ├── BuildTimeoutError
        ├── RemoteRefusedError          ├── CheckoutRefusedError        ├── BuildToolError
        ├── SubmoduleError, LfsError    │   ├── CheckoutTooLargeError   ├── HostKeyChangedError
        └── DockerfileRefusedError      │   ├── LinkOutOfTreeError, SpecialFileError, StrangeNameError
                                        │   ├── RepositoryHostileError
                                        └── └── ArchiveRefusedError, and one subclass for each trick

An engine that is away is ``EngineUnavailableError``: the same build may succeed later,
so it is not over.
"""

from appliance.core.errors import FailedError


class BuildFailedError(FailedError):
    """A step of the build failed."""

    code = "build_failed"


class PackageNotFoundError(BuildFailedError):
    """The registry has no package of that name."""

    code = "package_not_found"


class PackageVersionNotFoundError(BuildFailedError):
    """The registry has the package, but not that version."""

    code = "package_version_not_found"


class PackageTooNewError(BuildFailedError):
    """Nothing was published before the moment as of which the package is to be resolved."""

    code = "package_too_new"


class PackageUnfitError(BuildFailedError):
    """The package, or something it needs, does not work with this base's Python, Node or lack of a compiler."""

    code = "package_unfit"


class NoProgramError(BuildFailedError):
    """What was installed has no program that could be started."""

    code = "no_program"


class RepositoryNotFoundError(BuildFailedError):
    """There is no git repository at the URL, or it is not public."""

    code = "repository_not_found"


class RepositoryRefusedError(BuildFailedError):
    """The git server wants to know who asks, or its certificate is not trusted."""

    code = "repository_refused"


class BranchNotFoundError(BuildFailedError):
    """The repository has no such branch or tag."""

    code = "branch_not_found"


class CheckoutRefusedError(BuildFailedError):
    """The repository is too large, or points out of itself."""

    code = "checkout_refused"


class CheckoutTooLargeError(CheckoutRefusedError):
    """The repository or archive has more bytes or files than it may."""

    code = "checkout_too_large"


class LinkOutOfTreeError(CheckoutRefusedError):
    """A link of the repository or archive leads out of it."""

    code = "link_out_of_tree"


class SpecialFileError(CheckoutRefusedError):
    """The repository or archive has a pipe, a socket or a device."""

    code = "special_file"


class StrangeNameError(CheckoutRefusedError):
    """A file's name is no text, holds control characters, or is too long."""

    code = "strange_name"


class RepositoryHostileError(CheckoutRefusedError):
    """The repository is made to trick git: a forbidden path, submodule or object."""

    code = "repository_hostile"


class SubmoduleError(BuildFailedError):
    """A submodule that was asked for cannot be fetched."""

    code = "submodule_failed"


class LfsError(BuildFailedError):
    """The large files that were asked for cannot be fetched."""

    code = "lfs_failed"


class HostKeyChangedError(BuildFailedError):
    """The git server shows another host key than at the first fetch."""

    code = "host_key_changed"


class ArchiveRefusedError(CheckoutRefusedError):
    """The archive is not one that is unpacked here."""

    code = "archive_refused"


class ArchiveBrokenError(ArchiveRefusedError):
    """The archive cannot be read to its end."""

    code = "archive_broken"


class ArchivePathError(ArchiveRefusedError):
    """A path of the archive is absolute, leads upwards, or through a link."""

    code = "archive_path"


class ArchiveLinkError(ArchiveRefusedError):
    """A link of the archive leads out of it, or to nothing that it holds."""

    code = "archive_link"


class ArchiveSpecialError(ArchiveRefusedError):
    """The archive holds a device, a pipe, a sparse file or the like."""

    code = "archive_special_file"


class ArchivePrivilegeError(ArchiveRefusedError):
    """A file of the archive would run as somebody else."""

    code = "archive_setuid"


class ArchiveNameError(ArchiveRefusedError):
    """A name of the archive is no text, too long, or there twice."""

    code = "archive_name"


class ArchiveBombError(ArchiveRefusedError):
    """The archive unpacks to more than it may, or to far more than it is."""

    code = "archive_bomb"


class ArchiveEncryptedError(ArchiveRefusedError):
    """The archive needs a password."""

    code = "archive_encrypted"


class DockerfileRefusedError(BuildFailedError):
    """The Dockerfile asks for what a build here must not have."""

    code = "dockerfile_refused"


class ProjectNotRecognisedError(BuildFailedError):
    """The repository has neither a Dockerfile nor a Python or Node project that could be built."""

    code = "project_not_recognised"


class ImageNotFoundError(BuildFailedError):
    """The image is neither on this box nor in its registry."""

    code = "image_not_found"


class RemoteRefusedError(BuildFailedError):
    """The remote URL means this box or its neighbours."""

    code = "remote_refused"


class DiskFullError(BuildFailedError):
    """The disk is full."""

    code = "disk_full"


class NetworkUnreachableError(BuildFailedError):
    """A registry or git server could not be reached."""

    code = "network_unreachable"


class BuildTimeoutError(BuildFailedError):
    """The build took longer than it may."""

    code = "build_timeout"


class BuildToolError(BuildFailedError):
    """A program that builds need is not on this box, or does not work."""

    code = "build_tool"


class EmulationMissingError(BuildFailedError):
    """This box cannot run programs of a platform that images are built for."""

    code = "emulation_missing"


class DiskLowError(BuildFailedError):
    """Too little of the disk is free for a build to begin."""

    code = "disk_low"


class ImageQuotaError(BuildFailedError):
    """The images of one person's servers take as much as they may."""

    code = "image_quota"
