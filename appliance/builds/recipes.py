"""What is built of a tree of files or a package, and what there is to say of it beforehand."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from appliance.builds import declared, speech, taken_over
from appliance.builds.architectures import Recipe
from appliance.builds.checkout import Checkout
from appliance.builds.compiled import GoProject, RustProject
from appliance.builds.compiled_dockerfile import go_dockerfile, rust_dockerfile
from appliance.builds.dockerfile import project_dockerfile
from appliance.builds.dockerfile_check import check_dockerfile
from appliance.builds.dockerfile_warnings import missing_command, warnings
from appliance.builds.errors import NoProgramError
from appliance.builds.job import Job
from appliance.builds.own_dockerfile import Dockerfile, parse
from appliance.builds.project import (
    DockerfileProject,
    NodeProject,
    Project,
    PythonProject,
)


def of_project(
    job: Job, checkout: Checkout, project: Project, *, has_network: bool
) -> Recipe:
    """Return the recipe for a tree of files.

    Raises:
        BuildFailedError: Its own Dockerfile asks for what is not its own, or starts nothing.
    """
    if isinstance(project, DockerfileProject):
        job.say("Building the repository's own Dockerfile.")
        _check(job, project.text, has_network=has_network)
        return Recipe(lambda _: project.text, has_base=False, context=checkout.root)
    kind = type(project).__name__.removesuffix("Project")
    job.say(f"No Dockerfile: building it as a {kind} project.")
    return Recipe(
        lambda base: _generated(base, project), has_base=True, context=checkout.root
    )


def _generated(
    base: str, project: PythonProject | NodeProject | RustProject | GoProject
) -> str:
    match project:
        case RustProject():
            return rust_dockerfile(base, project)
        case GoProject():
            return go_dockerfile(base, project)
        case _:
            return project_dockerfile(base, project)


def of_own(job: Job, text: str, context: Path, *, has_network: bool) -> Recipe:
    """Return the recipe that a person wrote for this server.

    Raises:
        BuildFailedError: It asks for what is not its own, or starts nothing.
    """

    def dockerfile(base: str) -> str:
        return taken_over.adapted(text, base=base, resolved_for=job.build_name)

    job.say("Building the Dockerfile that was written for this server.")
    # With any base: the real one is known when it is there, for each platform another.
    _check(job, dockerfile(f"{taken_over.BASE}:{'0' * 12}"), has_network=has_network)
    return Recipe(
        dockerfile,
        has_base=taken_over.names_base(text),
        context=context,
        is_written=True,
    )


def _check(job: Job, text: str, *, has_network: bool) -> None:
    check_dockerfile(text, has_network=has_network)
    found = parse(text)
    problem = missing_command(found, empty_bases=(taken_over.BASE,))
    if problem:
        raise NoProgramError(
            problem, hint="Say in it what starts the server, as ENTRYPOINT."
        )
    for caution in warnings(found):
        job.say(f"Warning: {caution.sentence}")


def told(checkout: Checkout | None, text: str, *, is_written: bool) -> dict[str, Any]:
    """Return what is known of the image before it is built: how it speaks, and what to be warned of.

    Args:
        checkout: The tree of files; ``None``: a package.
        text: Its Dockerfile; empty where it is generated.
        is_written: Whether a person wrote the Dockerfile for this server.
    """
    found = parse(text) if text else None
    resolved: dict[str, Any] = {**_speech(checkout, found)}
    if found and (listed := warnings(found)):
        resolved["warnings"] = [item.as_dict() for item in listed]
    if is_written:
        resolved["dockerfile"] = "own"
    elif text:
        resolved["dockerfile"] = "repository"
    return resolved


def _speech(checkout: Checkout | None, found: Dockerfile | None) -> Mapping[str, Any]:
    image = found.final if found else None
    port = speech.usual_port(image.ports) if image else None
    if checkout is None:
        return declared.of_repository({}, image, exposed=port)
    known = declared.of_repository(checkout.tree.texts, image, exposed=port)
    if known:
        return known
    exposed = image.ports if image else ()
    return speech.from_sources(checkout.sources, exposed=exposed)
