"""What buildx prints with ``--progress=plain``, made readable line by line. Pure.

    #5 [2/3] RUN /opt/mcp/install pypi …      a step's name #5 0.345 Resolved 31
    packages             what the step printed, behind its seconds #5 DONE 2.9s   #5
    CACHED   #5 ERROR: process "…" did not complete successfully: exit code: 1

Readers want the middle; the numbers tell which step failed.
"""

import re
from dataclasses import dataclass

from appliance.builds.trust import readable

_LINE = re.compile(r"#(?P<step>\d+) (?P<text>.*)")
_OUTPUT = re.compile(r"\d+\.\d+ ?(?P<text>.*)")
_DONE = re.compile(r"DONE (?P<seconds>[\d.]+)s")
_SHOWN_SECONDS = 0.5
#: Newer engines number the stages that a Dockerfile does not name; that says nothing to whoever wrote it.
_UNNAMED_STAGE = re.compile(r"^\[stage-\d+ ")
#: ``[2/5] RUN …``, or ``[builder 2/5] RUN …`` in a stage that has a name.
_STEP = re.compile(r"^\[(?:(?P<stage>\S+) +)?(?P<number>\d+)/(?P<of>\d+)\] ")
_HIDDEN = ("[internal]", "exporting", "building with")
#: A step's name is its whole instruction; the beginning is enough to know it by.
_NAME_LENGTH = 160
_ESCAPE = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|[@-Z\\-_])")


@dataclass
class Step:
    """One instruction of the Dockerfile."""

    name: str
    #: ``running``, ``done``, ``cached`` or ``failed``.
    state: str = "running"
    seconds: float | None = None


class PlainProgress:
    """Reads buildx's lines in order."""

    def __init__(self) -> None:
        """Begin before the first line."""
        self._names: dict[str, str] = {}
        self._steps: dict[str, Step] = {}
        self._stages: dict[str, int] = {}
        #: Name of the step that failed; empty: none did.
        self.failed_step = ""
        #: The last lines that any step printed, and buildx's own errors.
        self.output: list[str] = []

    @property
    def steps(self) -> list[Step]:
        """The steps that began so far, in the order in which they began."""
        return list(self._steps.values())

    @property
    def total(self) -> int:
        """How many steps there are in the stages that are known so far."""
        return max(sum(self._stages.values()), len(self._steps))

    def feed(self, raw: str) -> str | None:
        """Return what a person should read of ``raw``; ``None``: nothing."""
        line = _ESCAPE.sub("", raw).rstrip()
        match = _LINE.fullmatch(line)
        if not match:
            return self._outside(line)
        step, text = match["step"], match["text"]
        if output := _OUTPUT.fullmatch(text):
            return self._keep(output["text"])
        if text.startswith("ERROR: "):
            self.failed_step = self.failed_step or self._names.get(step, "")
            self._end(step, "failed")
            return self._keep(text)
        return self._about(step, text)

    def _about(self, step: str, text: str) -> str | None:
        name = self._names.get(step)
        if name is None:
            text = _UNNAMED_STAGE.sub("[", text)
            self._names[step] = text = _short(text)
            self._begin(step, text)
            return None if text.startswith(_HIDDEN) else text
        done = _DONE.fullmatch(text)
        if done or text == "CACHED":
            self._end(
                step, "done" if done else "cached", done and float(done["seconds"])
            )
        if (
            done
            and not name.startswith("[internal]")
            and float(done["seconds"]) >= _SHOWN_SECONDS
        ):
            return (
                f"{name.partition('] ')[0].lstrip('[')} took {done['seconds']} s"
                if name.startswith("[")
                else None
            )
        return f"{name} (cached)" if text == "CACHED" else None

    def _begin(self, number: str, name: str) -> None:
        if found := _STEP.match(name):
            self._steps[number] = Step(name)
            self._stages[found["stage"] or ""] = int(found["of"])

    def _end(self, number: str, state: str, seconds: float | None = None) -> None:
        step = self._steps.get(number)
        if step is not None and step.state == "running":
            step.state, step.seconds = state, seconds

    def _outside(self, line: str) -> str | None:
        # After a failure buildx repeats the step's output between rulers, with the
        # lines of the Dockerfile.
        if line.startswith("ERROR: ") or (not self.failed_step and line):
            return self._keep(line)
        return None

    def _keep(self, text: str) -> str:
        self.output.append(text)
        del self.output[:-40]
        return text


def _short(name: str) -> str:
    name = " ".join(readable(name).split())
    return name if len(name) <= _NAME_LENGTH else f"{name[:_NAME_LENGTH]} …"
