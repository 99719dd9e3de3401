"""Two platforms, built by the appliance and pushed to a real registry: open, behind passwords, behind tokens.

What the ledger says must be what lies on the registry's disk, byte for byte by digest; another tool must be able to copy the
list with all that is in it; and each image must run as its platform says.
"""

import hashlib
import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from tests.fakes.git_http import GitServer, git_server
from tests.fakes.tiny import AMD, ARM, fresh, tiny_server
from tests.harness.appliance import Appliance
from tests.harness.mcp import HttpMcp
from tests.harness.registry import Auth, Registry, registry
from tests.proofs.claim import hold

AUTHS: tuple[Auth, ...] = ("none", "htpasswd", "token")
MACHINES = {AMD: "x86_64", ARM: "aarch64"}


def prove() -> None:
    """Build, push, read back and run, once for each kind of registry."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as home:
        Path(home).chmod(0o755)
        (Path(home) / "git").mkdir()
        with git_server(Path(home) / "git") as repositories:
            problems = {
                auth: _one(auth, repositories, Path(home) / auth) for auth in AUTHS
            }
    for auth, found in problems.items():
        print(f"{auth:<9} {'; '.join(found) or 'all well'}")
    broken = [auth for auth, found in problems.items() if found]
    hold(
        not broken,
        f"{len(AUTHS)} registries, {len(MACHINES)} platforms: digests equal, lists copied, images run; broken: "
        f"{', '.join(broken) or 'none'}",
    )


def _one(auth: Auth, repositories: GitServer, home: Path) -> list[str]:
    home.mkdir()
    url = repositories.add(f"tiny-{auth}", tiny_server(fresh("RUN uname -m")))
    with registry(auth) as kept:
        config = home / "config.json"
        logins = kept.docker_config() if auth != "none" else {"auths": {}}
        config.write_text(json.dumps(logins))
        settings = {
            "registry": f"{kept.host}/team",
            "registry_arch_targets": f"{AMD},{ARM}",
        }
        if auth != "none":
            settings["registry_auth_dockerconfig"] = str(config)
        with Appliance.temporary(**settings) as appliance:
            server = appliance.create(f"tiny-{auth}", repo_url=url)
            appliance.wait_running(server)
            with HttpMcp(server.endpoint, server.key) as client:
                client.initialize()
                said = json.dumps(client.call("machine"))
            problems = [] if MACHINES[AMD] in said else [f"here it runs as {said}"]
            return problems + _check(appliance, server.id, kept, config)


def _check(
    appliance: Appliance, server_id: int, kept: Registry, config: Path
) -> list[str]:
    """Return what is not as it should be."""
    (run,) = appliance.query(
        "SELECT id, registry_image, manifest_tag, manifest_digest, is_multi_arch, status FROM build_artifact_runs"
        " WHERE server_id = %s",
        server_id,
    )
    run_id, image, tag, digest, is_multi_arch, status = run
    rows = appliance.query(
        "SELECT platform, digest FROM build_artifact_platforms WHERE run_id = %s",
        run_id,
    )
    platforms = dict(rows)
    repository = image.partition("/")[2]
    problems = []
    if (status, is_multi_arch, set(platforms)) != ("succeeded", True, set(MACHINES)):
        problems.append(f"the ledger says {run} {platforms}")
    listed = kept.manifest(repository, tag)
    if listed is None:
        return [*problems, f"the registry has no {repository}:{tag}"]
    if _digest(listed) != digest:
        problems.append(f"the list is {_digest(listed)}, the ledger says {digest}")
    if (found := _children(listed)) != platforms:
        problems.append(f"the list names {found}, the ledger {platforms}")
    problems += [
        f"{platform} is not what its digest says"
        for platform, child in platforms.items()
        if _digest(kept.manifest(repository, child) or b"") != child
    ]
    # Evidence has tags of its own, named for the digest that it is about.
    tags = [name for name in kept.tags(repository) if not name.startswith("sha256-")]
    if tags != [tag]:
        problems.append(f"tags {tags}")
    problems += _copied(f"{image}:{tag}", platforms, config)
    problems += _run(image, platforms, config)
    return problems


def _children(listed: bytes) -> dict[str, str]:
    found: list[dict[str, Any]] = json.loads(listed)["manifests"]
    return {
        f"{item['platform']['os']}/{item['platform']['architecture']}": item["digest"]
        for item in found
    }


def _digest(body: bytes) -> str:
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


def _copied(reference: str, platforms: dict[str, str], config: Path) -> list[str]:
    """Copy the list with a tool of others."""
    target = config.parent / "copy"
    command = ["skopeo", "copy", "--all", "--src-tls-verify=false"]
    command += [f"--src-authfile={config}", f"docker://{reference}", f"dir:{target}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return [f"skopeo: {done.stderr.strip()[-300:]}"]
    copied = {f"sha256:{path.name.removesuffix('.manifest.json')}" for path in target.glob("*.manifest.json")}  # fmt: skip
    missing = set(platforms.values()) - copied
    return [f"skopeo copied no {', '.join(missing)}"] if missing else []


def _run(image: str, platforms: dict[str, str], config: Path) -> list[str]:
    """Pull every platform by its digest, run it, and throw it away."""
    problems = []
    for platform, digest in platforms.items():
        reference = f"{image}@{digest}"
        options = ["--rm", "--network=none", f"--platform={platform}"]
        command = ["run", *options, reference, "uname", "-m"]
        ran = _docker(config.parent, *command)
        if ran.stdout.strip() != MACHINES[platform]:
            problems.append(f"{platform} runs as {ran.stdout or ran.stderr[-300:]}")
        _docker(config.parent, "rmi", reference)
    return problems


def _docker(config: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["docker", "--config", str(config), *arguments],
        env=dict(os.environ),
        capture_output=True,
        text=True,
        check=False,
    )
