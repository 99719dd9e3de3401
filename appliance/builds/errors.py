"""Why a build did not come to an image.

    FailedError
    └── BuildFailedError            a step failed, in a way that has no name of its own
        ├── PackageNotFoundError        ├── RepositoryNotFoundError     ├── ImageNotFoundError
        ├── PackageVersionNotFoundError ├── RepositoryRefusedError      ├── DiskFullError
        ├── PackageUnfitError           ├── BranchNotFoundError         ├── NetworkUnreachableError
        ├── NoProgramError              ├── ProjectNotRecognisedError   ├── BuildTimeoutError
        ├── RemoteRefusedError          ├── CheckoutRefusedError        └── BuildToolError

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
