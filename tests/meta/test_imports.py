"""What a process loads when it starts is what it takes at rest: each leaves out what it has no use for."""

import json
import os
import re
import subprocess
import sys
from functools import cache
from importlib import metadata

import pytest

from tests.harness.appliance import AS_INSTALLED, ROOT

#: What each process is when it has started.
GATEWAY = "appliance.gateway.__main__, appliance.gateway.children"
EGRESS = "appliance.egress.process"
HUB = "appliance.__main__, appliance.bootstrap"


@cache
def loaded_by(modules: str) -> frozenset[str]:
    """Return the names of packages that importing ``modules`` loads, as in an appliance under test."""
    code = f"import sys, json; was = set(sys.modules); import {modules}; print(json.dumps(list(set(sys.modules) - was)))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{AS_INSTALLED}"},
        capture_output=True,
        text=True,
        check=True,
    )
    return frozenset(name.partition(".")[0] for name in json.loads(done.stdout))


def distributions(names: frozenset[str]) -> set[str]:
    """Return what was installed to have these packages, in the spelling of lock files."""
    known = metadata.packages_distributions()
    found = {item for name in names for item in known.get(name, ())}
    return {item.lower().replace("_", "-") for item in found} - {"mcp-host"}


def test_an_appliance_under_test_loads_nothing_that_an_installed_one_has_not() -> None:
    lock = (ROOT / "requirements/runtime.txt").read_text()
    installed = set(re.findall(r"^([\w.-]+)==", lock, re.MULTILINE))

    assert distributions(loaded_by(HUB) | loaded_by(GATEWAY)) - installed == set()


def test_the_egress_process_loads_one_library() -> None:
    assert distributions(loaded_by(EGRESS)) == {"psycopg2-binary"}


@pytest.mark.parametrize(
    "library",
    [
        "aiodocker",
        "apscheduler",
        "cryptography",
        "jinja2",
        "peewee",
        "pydantic",
        "yaml",
    ],
)
def test_the_gateway_leaves_to_the_hub_what_the_hub_alone_needs(library: str) -> None:
    assert library not in loaded_by(GATEWAY)


def test_the_gateway_has_its_event_loop_before_it_forks() -> None:
    """Loaded by each child for itself, it would be three megabytes in each."""
    assert "uvloop" in loaded_by(GATEWAY)
