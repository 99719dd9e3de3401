"""The Dockerfiles that are written for servers, and the commands that build them. Pure; tested by equality."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from appliance.builds.asof import PackagePlan, end_of
from appliance.builds.project import NodeProject, PythonProject
from appliance.sources.model import Ecosystem, PackageSource

#: The base's ordinary user, who builds and runs.
USER = "10001:10001"
INSTALL = "/opt/mcp/install"
ENTRY = "/opt/mcp/entry"
SERVER = "/opt/mcp/server"
APP = f"{SERVER}/app"
#: Only Node servers see Node; see base/Dockerfile.
NODE_PATH = "ENV PATH=/opt/mcp/node/bin:$PATH"


#: In a package's build context: the lock of an earlier build.
KEPT = "kept"


def package_dockerfile(
    base: str,
    source: PackageSource,
    plan: PackagePlan = PackagePlan(),  # noqa: B008 - frozen
    *,
    resolved_for: str,
) -> str:
    """Return the Dockerfile of a published package.

    Args:
        base: Tag of the base image.
        source: The package.
        plan: How it is resolved; a lock that it keeps is ``KEPT`` in the context.
        resolved_for: Names the build. A pinned package may come from the cache; one
            that is not pinned is resolved anew for every build, because this takes part
            in the cache's key. A build that is tried again finds what it had.
    """
    lines = [f"FROM {base}", f"USER {USER}"]
    if source.ecosystem is Ecosystem.NPM:
        lines.append(NODE_PATH)
    if source.version is None:
        lines.append(f"ARG MCP_HOST_RESOLVED_FOR={resolved_for}")
    if plan.kept:
        lines.append(f"COPY --chown={USER} {KEPT} {SERVER}/{KEPT}")
    lines.append(_run(source.ecosystem.value, _package_plan(source, plan)))
    return _finished(lines)


def _package_plan(source: PackageSource, plan: PackagePlan) -> dict[str, object]:
    told: dict[str, object] = {"name": source.name, "version": source.version}
    if plan.before:
        told |= {"before": _moment(plan.before), "why": plan.why}
    if plan.kept:
        kept = {"version": plan.kept.version}
        if plan.kept.as_of:
            kept["before"] = _moment(end_of(plan.kept.as_of))
        told["kept"] = kept
    return told


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def project_dockerfile(base: str, project: PythonProject | NodeProject) -> str:
    """Return the Dockerfile of a repository that has none of its own; its context is the repository."""
    if isinstance(project, PythonProject):
        kind = "python"
        plan: dict[str, object] = {
            "name": project.name,
            "install": project.install,
            "scripts": list(project.scripts),
            "main": project.main,
        }
    else:
        kind = "node"
        plan = {
            "lock": project.has_lock,
            "build": project.has_build,
            "command": list(project.command),
        }
    lines = [f"FROM {base}", f"USER {USER}"]
    if isinstance(project, NodeProject):
        lines.append(NODE_PATH)
    return _finished([*lines, f"COPY --chown={USER} . {APP}", _run(kind, plan)])


def _run(kind: str, plan: Mapping[str, object]) -> str:
    # The exec form, in ASCII: no shell reads it, and no character of it can end the
    # line.
    return f"RUN {json.dumps([INSTALL, kind, json.dumps(plan)])}"


def _finished(lines: list[str]) -> str:
    return "\n".join([*lines, f"ENTRYPOINT {json.dumps([ENTRY])}", ""])


@dataclass(frozen=True)
class BuildxCommand:
    """One run of ``buildx build``."""

    tag: str
    dockerfile: Path
    context: Path
    labels: Mapping[str, str] = field(default_factory=dict)
    #: ``None``: the engine's own builder, which alone sees the base images on this box.
    builder: str | None = None
    #: Secret id to file; there only while a step that asks for it runs.
    secrets: Mapping[str, Path] = field(default_factory=dict)
    build_arguments: Mapping[str, str] = field(default_factory=dict)
    #: ``None``: the box's own.
    platform: str | None = None
    has_cache: bool = True
    #: What steps may be taken from beside the builder's own cache, as ``--cache-from`` has it.
    cache_from: tuple[str, ...] = ()
    #: Whether its steps reach the network.
    has_network: bool = True
    #: File with what new engines must not fetch; for a stranger's Dockerfile.
    policy: Path | None = None

    def argv(self, program: tuple[str, ...]) -> list[str]:
        """Return the program and its arguments.

        Args:
            program: How buildx is started: the plugin itself, or ``docker buildx``.
        """
        options = [
            "--builder",
            self.builder or "default",
            "--progress=plain",
            "--load",
            f"--tag={self.tag}",
        ]
        if self.platform:
            options.append(f"--platform={self.platform}")
        if not self.has_network:
            options.append("--network=none")
        if not self.has_cache:
            options.append("--no-cache")
        options += [f"--cache-from={place}" for place in self.cache_from]
        options += [
            f"--label={name}={value}" for name, value in sorted(self.labels.items())
        ]
        options += [
            f"--secret=id={name},src={path}"
            for name, path in sorted(self.secrets.items())
        ]
        options += [
            f"--build-arg={name}={value}"
            for name, value in sorted(self.build_arguments.items())
        ]
        return [
            *program,
            "build",
            *options,
            f"--file={self.dockerfile}",
            str(self.context),
        ]
