"""The Dockerfiles of Rust and Go servers: a stage that compiles on the base image, and an image of the program alone. Pure.

The toolchains are Debian's. They are a layer of their own, the same for every server, so the engine's cache has it after the
first. What a program that was linked to the C library needs goes with it; nothing else does, no shell either.
"""

import json

from appliance.builds.compiled import GoProject, RustProject
from appliance.builds.dockerfile import APP, SERVER, USER

IMAGE = f"{SERVER}/image"
#: Where the program lies in the image that runs.
PROGRAMS = "/usr/local/bin"
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
#: apt's own cleaning keeps nothing that was downloaded out of the layer.
_TOOLCHAIN = (
    "apt-get update && apt-get install -y --no-install-recommends {} "
    "&& rm -rf /var/lib/apt/lists/* /var/cache/apt/*"
)
_RUST = "cargo rustc libc6-dev pkgconf"
_GO = "golang-go"
#: Of downloads; the same for all projects of one owner, which is safe: both tools check what they take from it.
_MOUNT = "--mount=type=cache,target={},uid=10001,gid=10001,sharing=locked"
#: Copies the libraries that a program names, if it names any, the certificates, and what says who 10001 is.
_COLLECT = f"""\
set -eu; cd {IMAGE}; mkdir -p data tmp etc/ssl/certs; chmod 1777 tmp
for path in $(ldd {{program}} | grep -o '/[^ )]*' || true); do cp --parents -L "$path" .; done
cp -L {CERTIFICATES} etc/ssl/certs/
echo 'mcp:x:10001:10001:mcp:/data:/sbin/nologin' > etc/passwd; echo 'mcp:x:10001:' > etc/group
echo 'hosts: files dns' > etc/nsswitch.conf"""


def rust_dockerfile(base: str, project: RustProject) -> str:
    """Return the Dockerfile of a Cargo project; its context is the repository."""
    home, target = f"{SERVER}/cargo", f"{SERVER}/target"
    cargo = ["cargo", "build", "--release", "--target-dir", target]
    cargo += ["--package", project.package, "--bin", project.binary]
    cargo += ["--locked"] if project.has_lock else []
    program = f"{IMAGE}{PROGRAMS}/{project.binary}"
    compiling = [
        f"ENV CARGO_HOME={home} CARGO_TERM_COLOR=never CARGO_HTTP_CAINFO={CERTIFICATES}",
        f"RUN {_MOUNT.format(home)} {json.dumps(cargo)}",
        f"RUN {json.dumps(['install', '-Ds', f'{target}/release/{project.binary}', program])}",
    ]
    return _dockerfile(base, _RUST, compiling, project.binary)


def go_dockerfile(base: str, project: GoProject) -> str:
    """Return the Dockerfile of a Go module; its context is the repository."""
    cache = f"{SERVER}/go"
    program = f"{IMAGE}{PROGRAMS}/{project.binary}"
    build = ["go", "build", "-trimpath", "-ldflags=-s -w", "-o", program]
    build.append("." if project.directory == "." else f"./{project.directory}")
    compiling = [
        # Debian's Go says what it lacks, instead of fetching another one.
        f"ENV CGO_ENABLED=0 GOTOOLCHAIN=local GOPATH={cache}/path GOCACHE={cache}/cache GOFLAGS=-buildvcs=false",
        f"RUN {_MOUNT.format(cache)} {json.dumps(build)}",
    ]
    return _dockerfile(base, _GO, compiling, project.binary)


def _dockerfile(base: str, packages: str, compiling: list[str], binary: str) -> str:
    collect = _COLLECT.replace("{program}", f"{IMAGE}{PROGRAMS}/{binary}")
    return "\n".join(
        [
            f"FROM {base} AS build",
            "USER root",
            f"RUN {_TOOLCHAIN.format(packages)}",
            f"USER {USER}",
            f"COPY --chown={USER} . {APP}",
            f"WORKDIR {APP}",
            *compiling,
            f"RUN {json.dumps(['sh', '-c', collect])}",
            "",
            "FROM scratch",
            f"COPY --from=build --chown={USER} {IMAGE} /",
            f"ENV HOME=/data PATH={PROGRAMS} SSL_CERT_FILE={CERTIFICATES}",
            "WORKDIR /data",
            f"USER {USER}",
            f"ENTRYPOINT {json.dumps([f'{PROGRAMS}/{binary}'])}",
            "",
        ]
    )
