"""How far an instance is kept apart: what is asked, what an engine can give, and what it is asked for."""

from dataclasses import replace
from typing import Any

import pytest

from appliance.runtimes import seccomp
from appliance.runtimes.hardening import EngineFacts, engine_facts, hardening
from appliance.runtimes.isolation import (
    MEANINGS,
    DataUse,
    Isolation,
    Relaxation,
    Tier,
    as_dict,
    from_dict,
    problems,
    unmet,
)
from appliance.runtimes.users import image_account

PLAIN = EngineFacts()
GVISOR = EngineFacts(gvisor="runsc")


def test_it_survives_json() -> None:
    odd = Isolation(
        tier=Tier.SANDBOXED,
        pids=9,
        files=100,
        data_bytes=32 * 1024**2,
        use_gpu=True,
        relaxations=(Relaxation.ROOT_USER,),
    )

    assert from_dict(as_dict(odd)) == odd
    assert from_dict({}) == Isolation()


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"pids": 1}, "isolation.pids"),
        ({"files": 1}, "isolation.files"),
        ({"data_bytes": 1024}, "isolation.data_bytes"),
    ],
)
def test_what_is_out_of_bounds_is_named(changed: dict[str, Any], field: str) -> None:
    assert list(problems(replace(Isolation(), **changed))) == [field]
    assert problems(Isolation()) == {}


@pytest.mark.parametrize(
    ("wanted", "facts", "fields"),
    [
        (Isolation(), PLAIN, []),
        (Isolation(tier=Tier.SANDBOXED), GVISOR, []),
        (Isolation(tier=Tier.SANDBOXED), PLAIN, ["isolation.tier"]),
        (Isolation(tier=Tier.VM), GVISOR, ["isolation.tier"]),
        (Isolation(use_gpu=True), PLAIN, ["isolation.use_gpu"]),
        (Isolation(use_gpu=True), EngineFacts(has_gpu=True), []),
        (
            Isolation(use_gpu=True, tier=Tier.SANDBOXED),
            replace(GVISOR, has_gpu=True),
            ["isolation.use_gpu"],
        ),
    ],
)
def test_what_an_engine_cannot_give_is_named(
    wanted: Isolation, facts: EngineFacts, fields: list[str]
) -> None:
    found = unmet(wanted, tiers=facts.tiers, capabilities=facts.capabilities)

    assert list(found) == fields


@pytest.mark.parametrize(
    ("size", "free", "is_full"),
    [
        (25_200_000, 600_000, True),
        (25_200_000, 2_000_000, False),
        (1024**3, 20 * 1024**2, True),
        (100 * 1024**3, 16 * 1024**2, True),
        (100 * 1024**3, 1024**3, False),
    ],
)
def test_data_is_full_when_only_the_file_systems_own_share_is_left(
    size: int, free: int, *, is_full: bool
) -> None:
    assert DataUse(size, size - free).is_full is is_full


def test_an_engine_says_what_it_offers() -> None:
    info = {
        "Runtimes": {"runc": {}, "runsc": {"path": "/usr/bin/runsc"}, "nvidia": {}},
        "SecurityOptions": ["name=apparmor", "name=seccomp,profile=builtin"],
        "DiscoveredDevices": [{"Source": "cdi", "ID": "nvidia.com/gpu=all"}],
    }

    assert engine_facts(info) == EngineFacts(
        gvisor="runsc",
        has_seccomp=True,
        has_apparmor=True,
        has_gpu=True,
        has_cdi_gpu=True,
    )
    assert engine_facts({}) == EngineFacts(has_seccomp=False)


def test_each_relaxation_takes_off_its_own_piece_and_no_other() -> None:
    strict = hardening(Isolation(), PLAIN)

    def given_away(relaxation: Relaxation) -> dict[str, Any]:
        relaxed = hardening(Isolation(relaxations=(relaxation,)), PLAIN)
        return {name: relaxed[name] for name in strict if relaxed[name] != strict[name]}

    assert given_away(Relaxation.WRITABLE_ROOT) == {"ReadonlyRootfs": False}
    assert given_away(Relaxation.ENGINE_SYSCALLS) == {
        "SecurityOpt": ["no-new-privileges:true"]
    }
    # Decided where the image's user is looked up.
    assert given_away(Relaxation.ROOT_USER) == {}
    assert image_account("root", "root:x:0:0:::") is None
    assert image_account("", "", may_be_root=True) == (0, 0)
    assert set(MEANINGS) == set(Relaxation)


def test_a_sandboxed_instance_runs_in_gvisor() -> None:
    config = hardening(Isolation(tier=Tier.SANDBOXED), GVISOR)

    assert config["Runtime"] == "runsc"
    assert config["CapDrop"] == ["ALL"]
    assert "Runtime" not in hardening(Isolation(), GVISOR)


def test_an_engine_without_seccomp_is_not_asked_for_it() -> None:
    config = hardening(Isolation(), EngineFacts(has_seccomp=False))

    assert config["SecurityOpt"] == ["no-new-privileges:true"]


@pytest.mark.parametrize(
    ("facts", "request_"),
    [
        (
            EngineFacts(has_gpu=True),
            {"Driver": "nvidia", "Count": -1, "Capabilities": [["gpu"]]},
        ),
        (
            EngineFacts(has_cdi_gpu=True),
            {"Driver": "cdi", "DeviceIDs": ["nvidia.com/gpu=all"]},
        ),
    ],
)
def test_a_gpu_is_asked_for_as_the_engine_hands_it_over(
    facts: EngineFacts, request_: dict[str, Any]
) -> None:
    config = hardening(Isolation(use_gpu=True), facts)

    assert config["DeviceRequests"] == [request_]


@pytest.mark.parametrize(
    "name",
    [
        "ptrace",
        "process_vm_readv",
        "bpf",
        "mount",
        "unshare",
        "setns",
        "keyctl",
        "io_uring_setup",
        "userfaultfd",
        "perf_event_open",
        "init_module",
        "kexec_load",
        "open_by_handle_at",
        "reboot",
        "pivot_root",
    ],
)
def test_a_way_out_is_not_on_the_list(name: str) -> None:
    named = [item for rule in seccomp.profile()["syscalls"] for item in rule["names"]]

    assert name not in named


def test_sockets_and_namespaces_are_allowed_by_their_arguments_alone() -> None:
    rules = seccomp.profile()["syscalls"]
    allowed = [item for item in rules if item["action"] == "SCMP_ACT_ALLOW"]

    assert all(
        item["args"]
        for item in allowed
        if {"socket", "clone", "personality"} & set(item["names"])
    )
