"""Which programs Rust and Go projects have, which one is the server, and by what it is built."""

import pytest

from appliance.builds.compiled import GoProject, RustProject, decides
from appliance.builds.compiled_dockerfile import go_dockerfile, rust_dockerfile
from appliance.builds.dockerfile_warnings import missing_command, warnings
from appliance.builds.errors import ProjectNotRecognisedError
from appliance.builds.own_dockerfile import parse
from appliance.builds.project import Project, Tree, recognise

MAIN = "// A server.\npackage main\n\nfunc main() {}\n"
LIBRARY = "package clock\n"


def found(entry: str = "", **files: str) -> Project:
    """Recognise a tree; ``src__main_rs`` is ``src/main.rs``, and other names are given with ``files``."""
    named = {
        name.replace("__", "/").replace("_toml", ".toml").replace("_rs", ".rs")
        .replace("_go", ".go").replace("_mod", ".mod").replace("_lock", ".lock"): text
        for name, text in files.items()
    }  # fmt: skip
    texts = {name: text for name, text in named.items() if decides(name)}
    return recognise(Tree(frozenset(named), texts), name="repo", entry=entry)


CLOCK = '[package]\nname = "clock"\n'


@pytest.mark.parametrize(
    ("files", "project"),
    [
        (
            {"Cargo_toml": CLOCK, "src__main_rs": ""},
            RustProject("clock", "clock", has_lock=False),
        ),
        (
            {"Cargo_toml": CLOCK, "Cargo_lock": "", "src__lib_rs": "", "src__bin__x_rs": ""},
            RustProject("x", "clock", has_lock=True),
        ),
        (
            {"Cargo_toml": CLOCK, "src__bin__deep__main_rs": "", "src__bin__deep__other_rs": ""},
            RustProject("deep", "clock", has_lock=False),
        ),
        (
            {"Cargo_toml": CLOCK + '[[bin]]\nname = "s"\npath = "src/main.rs"\n', "src__main_rs": ""},
            RustProject("s", "clock", has_lock=False),
        ),
        (
            {"Cargo_toml": CLOCK + 'default-run = "b"\n', "src__bin__a_rs": "", "src__bin__b_rs": ""},
            RustProject("b", "clock", has_lock=False),
        ),
        (
            {"Cargo_toml": CLOCK + 'autobins = false\n[[bin]]\nname = "s"\npath = "s.rs"\n', "src__main_rs": ""},
            RustProject("s", "clock", has_lock=False),
        ),
        (
            {
                "Cargo_toml": '[workspace]\nmembers = ["crates/*"]\nexclude = ["crates/old"]\n',
                "crates__core__Cargo_toml": '[package]\nname = "core"\n',
                "crates__core__src__lib_rs": "",
                "crates__server__Cargo_toml": '[package]\nname = "server"\n',
                "crates__server__src__main_rs": "",
                "crates__old__Cargo_toml": '[package]\nname = "old"\n',
                "crates__old__src__main_rs": "",
                "crates__server__deep__Cargo_toml": CLOCK,
                "crates__server__deep__src__main_rs": "",
            },
            RustProject("server", "server", has_lock=False),
        ),
        ({"go_mod": "module example.org/o/clock\n", "clock_go": MAIN}, GoProject("clock", ".")),
        ({"go_mod": "module example.org/o/clock/v2\n", "main_go": MAIN}, GoProject("clock", ".")),
        (
            {"go_mod": "module example.org/o/clock\n", "a_go": LIBRARY, "cmd__server__main_go": MAIN},
            GoProject("server", "cmd/server"),
        ),
        (
            {"go_mod": "module m\n", "cmd__server__main_go": MAIN, "tools__gen__main_go": MAIN},
            GoProject("server", "cmd/server"),
        ),
        (
            {"go_mod": "module m\n", "main_go": MAIN, "cmd__other__main_go": MAIN},
            GoProject("m", "."),
        ),
        (
            {"go_mod": "module m\n", "main_go": MAIN, "gen_go": "//go:build ignore\n" + MAIN,
             "main_test_go": MAIN, "vendor__x__main_go": MAIN},
            GoProject("m", "."),
        ),
    ],
)  # fmt: skip
def test_the_server_is_found(files: dict[str, str], project: Project) -> None:
    assert found(**files) == project


TWO = {"Cargo_toml": CLOCK, "src__bin__a_rs": "", "src__bin__b_rs": ""}


@pytest.mark.parametrize(
    ("entry", "files", "why"),
    [
        ("", TWO, "several programs: a, b."),
        ("c", TWO, "no program c; it has a, b."),
        ("", {"Cargo_toml": CLOCK, "src__lib_rs": ""}, "no program"),
        ("", {"Cargo_toml": "not toml ["}, "cannot be read"),
        ("", {"go_mod": "module m\n", "a_go": LIBRARY}, "no program"),
        (
            "",
            {"go_mod": "module m\n", "cmd__a__a_go": MAIN, "cmd__b__b_go": MAIN},
            "several programs: a, b.",
        ),
    ],
)
def test_what_cannot_be_decided_is_asked_by_name(
    entry: str, files: dict[str, str], why: str
) -> None:
    with pytest.raises(ProjectNotRecognisedError) as caught:
        found(entry, **files)

    assert why in caught.value.detail


@pytest.mark.parametrize(
    ("files", "program"),
    [
        (TWO, "b"),
        ({"go_mod": "module m\n", "main_go": MAIN, "cmd__b__main_go": MAIN}, "b"),
    ],
)
def test_a_named_program_is_taken(files: dict[str, str], program: str) -> None:
    project = found("b", **files)

    assert isinstance(project, RustProject | GoProject)
    assert project.binary == program


@pytest.mark.parametrize("name", ["a b", "a;b", "$(x)", "-x", "a\nb", "a/b"])
def test_a_program_with_a_strange_name_is_none(name: str) -> None:
    manifest = f"{CLOCK}autobins = false\n[[bin]]\nname = {name!r}\n".replace("'", '"')

    with pytest.raises(ProjectNotRecognisedError):
        found(Cargo_toml=manifest)


@pytest.mark.parametrize(
    "text",
    [
        rust_dockerfile("mcp-host/base:1", RustProject("clock", "c", has_lock=True)),
        go_dockerfile("mcp-host/base:1", GoProject("clock", "cmd/clock")),
    ],
)
def test_what_is_generated_is_what_we_would_not_warn_of(text: str) -> None:
    image = parse(text).final

    assert image
    assert image.base == "scratch"
    assert image.user == "10001:10001"
    assert image.entrypoint
    assert image.entrypoint.words == ("/usr/local/bin/clock",)
    assert warnings(parse(text)) == ()
    assert missing_command(parse(text), empty_bases=()) == ""


def test_the_commands_name_program_and_package() -> None:
    cargo = rust_dockerfile("b", RustProject("clock", "core", has_lock=True))
    go = go_dockerfile("b", GoProject("clock", "cmd/clock"))

    assert '"--package", "core", "--bin", "clock", "--locked"' in cargo
    assert '"./cmd/clock"]' in go
    assert "GOTOOLCHAIN=local" in go
    assert "--locked" not in rust_dockerfile("b", RustProject("a", "a", has_lock=False))
