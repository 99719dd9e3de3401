"""What a maintainer should know of a Dockerfile before its server runs: each a sentence, none a refusal. Pure."""

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from appliance.builds.dockerfile_text import Instruction, assignments, words
from appliance.builds.own_dockerfile import Dockerfile, Stage
from appliance.builds.taken_over import BASE

#: Of one Dockerfile; whoever has more has other worries.
MAX_WARNINGS = 20
_SECRET = re.compile(
    r"(?:^|_)(?:SECRET|TOKEN|PASSWORD|PASSWD|APIKEY|API_KEY|ACCESS_KEY|PRIVATE_KEY|CREDENTIALS?)(?:$|_)",
    re.IGNORECASE,
)
#: Names that end like a secret's and say where one is, or how it is used.
_NO_SECRET = re.compile(
    r"_(?:FILE|PATH|DIR|URL|TTL|EXPIRY|LENGTH|NAME)$", re.IGNORECASE
)
_PIPED_SHELL = re.compile(
    r"\b(?:curl|wget)\b[^|\n;&]{0,400}\|\s{0,20}(?:sudo\s{1,20})?(?:[\w/]{0,40}/)?(?:ba|da|z|k)?sh\b"
    r"|\b(?:ba|da|z)?sh\s{1,20}(?:-c\s{1,20})?[\"']?(?:<\(|\$\()\s{0,20}(?:curl|wget)\b"
)
_REMOTE = re.compile(r"https?://", re.IGNORECASE)
_ROOTS = frozenset({"root", "0", "0:0", "root:root"})


@dataclass(frozen=True)
class Caution:
    """One thing to know."""

    #: Stable.
    code: str
    text: str
    #: 0: no line of its own.
    line: int = 0

    @property
    def sentence(self) -> str:
        """The warning as the log shows it."""
        return f"Line {self.line}: {self.text}" if self.line else self.text

    def as_dict(self) -> dict[str, object]:
        """Return the warning as it is stored and answered."""
        return asdict(self)


def warnings(found: Dockerfile) -> tuple[Caution, ...]:
    """Return what there is to know of ``found``, in the order of its lines."""
    final = found.final
    if final is None:
        return ()
    told = [*_about_lines(found), *_about_image(final), *_about_bases(found)]
    told.sort(key=lambda item: (item.line, item.code))
    return tuple(dict.fromkeys(told))[:MAX_WARNINGS]


def _about_lines(found: Dockerfile) -> Iterator[Caution]:
    for item in found.instructions:
        if item.name == "ADD":
            yield from _about_add(item)
        elif item.name in {"ENV", "ARG"}:
            yield from _about_values(item)
        elif item.name == "RUN":
            yield from _about_run(item)


def _about_add(item: Instruction) -> Iterator[Caution]:
    is_checked = any(flag.startswith("--checksum=") for flag in item.flags)
    if not is_checked and any(_REMOTE.match(word) for word in words(item.text)[:-1]):
        yield Caution(
            "add_url",
            "ADD takes a file from the network without --checksum, so it may be another one tomorrow.",
            item.line,
        )


def _about_values(item: Instruction) -> Iterator[Caution]:
    # A secret need not have a value to be one: an ARG gets it while the image is built, and the image's history keeps it.
    given = (
        dict.fromkeys((word.partition("=")[0] for word in words(item.text)), "x")
        if item.name == "ARG"
        else dict(assignments(item.text))
    )
    for name, value in given.items():
        if value and _SECRET.search(name) and not _NO_SECRET.search(name):
            yield Caution(
                f"secret_in_{item.name.lower()}",
                f"{item.name} {name[:64]} looks like a secret, and whoever has the image can read it."
                " Give it as a setting of the server.",
                item.line,
            )


def _about_run(item: Instruction) -> Iterator[Caution]:
    if any("type=ssh" in flag for flag in item.flags):
        yield Caution(
            "ssh_mount",
            "RUN --mount=type=ssh asks for an SSH agent; builds here have none.",
            item.line,
        )
    if _PIPED_SHELL.search(item.text) or _PIPED_SHELL.search(item.heredoc):
        yield Caution(
            "piped_shell",
            "RUN gives what it downloads to a shell; nothing says that it is the same tomorrow.",
            item.line,
        )


def _about_image(final: Stage) -> Iterator[Caution]:
    if final.user.partition(":")[0] in {"", *_ROOTS} or final.user in _ROOTS:
        yield Caution(
            "runs_as_root",
            "The image names no USER besides root. It is run as user 10001 here, who may write to /data and /tmp alone.",
        )
    if len(final.ports) > 1:
        listed = ", ".join(str(port) for port in final.ports[:6])
        yield Caution(
            "several_ports",
            f"EXPOSE names several ports ({listed}); the server's configuration can say which one speaks MCP.",
        )
    first = final.entrypoint or final.command
    if first is None:
        yield Caution(
            "no_command",
            f"There is neither ENTRYPOINT nor CMD: what {final.base or 'the base image'} starts by itself is started.",
        )
    elif first.is_shell and not first.words[0].startswith("exec "):
        which = "ENTRYPOINT" if final.entrypoint else "CMD"
        yield Caution(
            "shell_command",
            f"{which} is not a JSON list, so a shell stands before the server:"
            " it takes no arguments, and may not pass on the signal to stop.",
            first.line,
        )


def _about_bases(found: Dockerfile) -> Iterator[Caution]:
    for stage in found.stages:
        tag = stage.base.rpartition("/")[2].partition(":")[2]
        is_pinned = "@" in stage.base or tag not in {"", "latest"}
        is_image = not stage.has_parent and stage.base not in {"", "scratch", BASE}
        if is_image and not is_pinned:
            yield Caution(
                "latest_base",
                f"FROM {stage.base[:200]} has no version, so the next build may begin with another image.",
                stage.line,
            )


def missing_command(found: Dockerfile, *, empty_bases: tuple[str, ...]) -> str:
    """Return why the image could start nothing; empty if it could, or if only its base image knows.

    Args:
        empty_bases: Beginnings of names of images that are known to start nothing, besides ``scratch``.
    """
    final = found.final
    if final is None:
        return "The Dockerfile has no FROM, so there is no image to build."
    if final.entrypoint or final.command:
        return ""
    if final.base == "scratch" or final.base.startswith(empty_bases or ("\0",)):
        return f"The Dockerfile has neither ENTRYPOINT nor CMD, and {final.base} starts nothing by itself."
    return ""
