"""Which target is meant by an address."""

from pathlib import Path

from appliance.backups.targets import address as addresses
from appliance.backups.targets.directory import DirectoryTarget
from appliance.backups.targets.port import Target
from appliance.settings import Settings


def default_target(settings: Settings) -> str:
    """Return where backups go unless somebody says otherwise."""
    return settings.backup_target or str(settings.data_dir.absolute() / "backups")


def open_target(text: str, settings: Settings) -> Target:
    """Return the target; it is not asked yet.

    Raises:
        TargetError: The address is none.
    """
    match addresses.parse(text):
        case addresses.DirectoryAddress(path):
            return DirectoryTarget(path)
        case addresses.S3Address() as found:
            from appliance.backups.targets.s3 import s3_target  # noqa: PLC0415 - brings megabytes

            return s3_target(found, settings)
        case addresses.SshAddress() as found:
            from appliance.backups.targets.rsync import rsync_target  # noqa: PLC0415 - as above

            return rsync_target(found, settings)


def split(source: str) -> tuple[str, str]:
    """Return target and name of a backup that is named by its whole address. Pure.

    >>> split("s3://backups/mcp/mcp-host-0a1b2c3d4e5f-20261122T010203Z.tar")
    ('s3://backups/mcp', 'mcp-host-0a1b2c3d4e5f-20261122T010203Z.tar')
    """
    if "://" in source:
        target, _, name = source.rpartition("/")
        return target, name
    path = Path(source).absolute()
    return str(path.parent), path.name
