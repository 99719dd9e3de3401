"""Every error of the product has an answer over HTTP, and a code of its own."""

import importlib
import pkgutil
from pathlib import Path

import appliance
from appliance.core.errors import DomainError
from appliance.web.problems import STATUS, status_of


def _all_errors() -> set[type[DomainError]]:
    for module in pkgutil.walk_packages(appliance.__path__, "appliance."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    found: set[type[DomainError]] = set()
    waiting = [DomainError]
    while waiting:
        children = waiting.pop().__subclasses__()
        found |= set(children)
        waiting += children
    return {item for item in found if item.__module__.startswith("appliance.")}


def test_every_domain_error_maps_to_a_status() -> None:
    found = _all_errors()

    assert len(found) > 20
    assert all(status_of(item) >= 400 for item in found)


def test_branches_differ_in_status() -> None:
    assert len(set(STATUS.values())) == len(STATUS)


def test_every_code_that_the_api_tells_is_documented() -> None:
    documented = (Path(appliance.__file__).parents[1] / "docs/api.md").read_text()
    rooms = ("core", "web", "accounts", "servers", "bundles", "jobs", "runtimes")

    codes = {
        item.code for item in _all_errors() if item.__module__.split(".")[1] in rooms
    }

    assert {code for code in codes if f"`{code}`" not in documented} == set()
