"""Generated Dockerfiles and build commands, by equality."""

from datetime import UTC, date, datetime
from pathlib import Path

from appliance.builds.asof import PackagePlan
from appliance.builds.base import (
    base_dockerfile,
    base_tag,
    debian_mirror,
    mmdebstrap_argv,
    recipe_hash,
)
from appliance.builds.dockerfile import (
    BuildxCommand,
    package_dockerfile,
    project_dockerfile,
)
from appliance.builds.model import Lock
from appliance.builds.project import NodeProject, PythonProject
from appliance.sources.model import Ecosystem, PackageSource

BASE = "mcp-host/base:0123456789ab"


def test_a_pinned_package_depends_on_nothing_but_its_version() -> None:
    source = PackageSource(Ecosystem.PYPI, "mcp-server-time", "1.0")

    assert package_dockerfile(BASE, source, resolved_for="build-7") == (
        "FROM mcp-host/base:0123456789ab\n"
        "USER 10001:10001\n"
        'RUN ["/opt/mcp/install", "pypi", "{\\"name\\": \\"mcp-server-time\\", \\"version\\": \\"1.0\\"}"]\n'
        'ENTRYPOINT ["/opt/mcp/entry"]\n'
    )


def test_an_unpinned_package_is_resolved_for_one_build() -> None:
    source = PackageSource(Ecosystem.NPM, "@scope/thing")

    assert package_dockerfile(BASE, source, resolved_for="build-7") == (
        "FROM mcp-host/base:0123456789ab\n"
        "USER 10001:10001\n"
        "ENV PATH=/opt/mcp/node/bin:$PATH\n"
        "ARG MCP_HOST_RESOLVED_FOR=build-7\n"
        'RUN ["/opt/mcp/install", "npm", "{\\"name\\": \\"@scope/thing\\", \\"version\\": null}"]\n'
        'ENTRYPOINT ["/opt/mcp/entry"]\n'
    )


def test_a_package_is_resolved_as_of_a_moment() -> None:
    source = PackageSource(Ecosystem.NPM, "thing", "1.0")
    plan = PackagePlan(datetime(2025, 4, 27, tzinfo=UTC), "as of 2025-04-26")

    assert (
        'RUN ["/opt/mcp/install", "npm", "{\\"name\\": \\"thing\\", \\"version\\": \\"1.0\\",'
        ' \\"before\\": \\"2025-04-27T00:00:00Z\\", \\"why\\": \\"as of 2025-04-26\\"}"]\n'
    ) in package_dockerfile(BASE, source, plan, resolved_for="build-7")


def test_an_earlier_lock_is_copied_with_the_version_that_it_is_for() -> None:
    source = PackageSource(Ecosystem.PYPI, "thing")
    lock = Lock(
        "requirements.txt",
        "mcp==1.6.0",
        "pypi:thing",
        "1.0",
        date(2025, 4, 26),
        datetime(2025, 4, 27, tzinfo=UTC),
    )

    text = package_dockerfile(
        BASE, source, PackagePlan(kept=lock), resolved_for="build-7"
    )

    assert "COPY --chown=10001:10001 kept /opt/mcp/server/kept\n" in text
    assert (
        '\\"kept\\": {\\"version\\": \\"1.0\\", \\"before\\": \\"2025-04-27T00:00:00Z\\"}}"]\n'
        in text
    )


def test_a_python_project_is_copied_and_installed() -> None:
    project = PythonProject("weather", "project", ("weather-mcp",))

    assert project_dockerfile(BASE, project) == (
        "FROM mcp-host/base:0123456789ab\n"
        "USER 10001:10001\n"
        "COPY --chown=10001:10001 . /opt/mcp/server/app\n"
        'RUN ["/opt/mcp/install", "python", "{\\"name\\": \\"weather\\", \\"install\\": \\"project\\",'
        ' \\"scripts\\": [\\"weather-mcp\\"], \\"main\\": \\"\\"}"]\n'
        'ENTRYPOINT ["/opt/mcp/entry"]\n'
    )


def test_a_node_project_is_copied_built_and_started() -> None:
    project = NodeProject(("node", "dist/index.js"), has_lock=True, has_build=True)

    assert project_dockerfile(BASE, project) == (
        "FROM mcp-host/base:0123456789ab\n"
        "USER 10001:10001\n"
        "ENV PATH=/opt/mcp/node/bin:$PATH\n"
        "COPY --chown=10001:10001 . /opt/mcp/server/app\n"
        'RUN ["/opt/mcp/install", "node", "{\\"lock\\": true, \\"build\\": true,'
        ' \\"command\\": [\\"node\\", \\"dist/index.js\\"]}"]\n'
        'ENTRYPOINT ["/opt/mcp/entry"]\n'
    )


def test_nothing_that_a_repository_says_begins_a_line_of_its_dockerfile() -> None:
    project = PythonProject('"\nUSER root\nRUN evil\n#', "project", (), "main.py")

    lines = project_dockerfile(BASE, project).splitlines()

    assert [line.split()[0] for line in lines] == [
        "FROM",
        "USER",
        "COPY",
        "RUN",
        "ENTRYPOINT",
    ]
    assert lines[1] == "USER 10001:10001"


def test_a_build_command_is_one_argv() -> None:
    command = BuildxCommand(
        tag="mcp-host/time:0a-7",
        dockerfile=Path("/w/Dockerfile"),
        context=Path("/w/context"),
        labels={"mcp-host.server": "3", "mcp-host.owner": "0a"},
        secrets={"mcp-host-ca": Path("/etc/ca.crt")},
        build_arguments={"HTTPS_PROXY": "http://proxy.example:3128"},
    )

    assert command.argv(("docker", "buildx")) == [
        "docker", "buildx", "build", "--builder", "default", "--progress=plain", "--load", "--tag=mcp-host/time:0a-7",
        "--label=mcp-host.owner=0a", "--label=mcp-host.server=3", "--secret=id=mcp-host-ca,src=/etc/ca.crt",
        "--build-arg=HTTPS_PROXY=http://proxy.example:3128", "--file=/w/Dockerfile", "/w/context",
    ]  # fmt: skip


def test_a_foreign_platform_and_what_is_known_of_caches_are_told_to_the_builder() -> (
    None
):
    command = BuildxCommand(
        tag="t",
        dockerfile=Path("/w/D"),
        context=Path("/w/c"),
        platform="linux/arm64",
        has_cache=False,
        cache_from=("type=registry,ref=r/n", "type=local,src=/c"),
    )

    assert command.argv(("b",)) == [
        "b", "build", "--builder", "default", "--progress=plain", "--load", "--tag=t", "--platform=linux/arm64", "--no-cache",
        "--cache-from=type=registry,ref=r/n", "--cache-from=type=local,src=/c", "--file=/w/D", "/w/c",
    ]  # fmt: skip


def test_a_foreign_base_is_assembled_by_emulation_under_a_name_of_its_own() -> None:
    argv = mmdebstrap_argv(
        Path("/w/r.tar"), mirror=None, is_root=False, architecture="arm64"
    )

    assert "--architectures=arm64" in argv
    assert base_tag("ab", "linux/arm64") == "mcp-host/base:ab-linux-arm64"
    assert base_tag("ab") == "mcp-host/base:ab"


def test_a_base_begins_with_a_pulled_or_an_assembled_debian() -> None:
    assert base_dockerfile("FROM rootfs\n", pulled="debian:trixie-slim").startswith(
        "FROM debian:trixie-slim AS rootfs\n"
    )
    assert base_dockerfile("FROM rootfs\n", pulled=None).startswith(
        "FROM scratch AS rootfs\nADD rootfs.tar /\n"
    )


def test_the_recipes_hash_changes_with_every_part() -> None:
    def made(
        content: bytes = b"x",
        certificates: bytes = b"c",
        source: str = "auto",
        image: str = "debian",
    ) -> str:
        return recipe_hash(
            {"Dockerfile": content},
            certificates=certificates,
            source=source,
            image=image,
        )

    hashes = {
        made(),
        made(content=b"y"),
        made(certificates=b"d"),
        made(source="debian"),
        made(image="other"),
    }

    assert len(hashes) == 5
    assert made() == made()


def test_a_debian_is_assembled_with_or_without_root() -> None:
    as_root = mmdebstrap_argv(
        Path("/w/rootfs.tar"), mirror="http://mirror.example/debian", is_root=True
    )
    as_user = mmdebstrap_argv(Path("/w/rootfs.tar"), mirror=None, is_root=False)

    assert as_root[:2] == ["unshare", "--mount"]
    assert as_root[6:9] == ["mmdebstrap", "--mode=root", "--variant=minbase"]
    assert as_user[0] == "mmdebstrap"
    assert as_root[-3:] == ["trixie", "/w/rootfs.tar", "http://mirror.example/debian"]
    assert "--mode=unshare" in as_user
    assert as_user[-2:] == ["trixie", "/w/rootfs.tar"]


DEB822 = """Types: deb
# a comment
URIs: http://mirror.example/debian http://second.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
"""


def test_the_boxs_own_mirror_is_found_in_either_format() -> None:
    assert (
        debian_mirror({"debian.sources": DEB822}, "bookworm")
        == "http://mirror.example/debian"
    )
    line = "# deb http://old.example/debian bookworm main\ndeb [arch=amd64] http://one.example/debian bookworm main contrib\n"
    assert (
        debian_mirror({"sources.list": line}, "bookworm") == "http://one.example/debian"
    )


def test_other_archives_are_no_mirror() -> None:
    others = (
        "Types: deb\nURIs: https://node.example/\nSuites: nodistro\nComponents: main\n"
    )
    source = "Types: deb-src\nURIs: http://mirror.example/debian\nSuites: bookworm\nComponents: main\n"

    assert (
        debian_mirror(
            {
                "a.sources": others,
                "b.sources": source,
                "c.list": "deb cdrom:[x]/ bookworm contrib\n",
            },
            "bookworm",
        )
        is None
    )
