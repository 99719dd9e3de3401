"""The policy as a rule: facts and a document in, a decision out."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from appliance.core.errors import InvalidError
from appliance.policy.decide import decide
from appliance.policy.document import Policy, parse
from appliance.policy.model import (
    ArtifactFact,
    CertificationFact,
    Decision,
    ExecutorFact,
    PolicyFacts,
    PromotionFact,
    Purpose,
    RequestFact,
    ReusableFact,
    Verdict,
)
from appliance.policy.records import facts_as_json, facts_from_json, fingerprint
from appliance.policy.rules import KINDS
from appliance.policy.texts import read_text, write_text

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
DIGEST = f"sha256:{'a' * 64}"
DOCKER = ExecutorFact("docker", ("image-build", "logs"), ("standard",))
STRONG = ExecutorFact("kata", ("gpu", "image-build"), ("standard", "vm"))
REQUEST = RequestFact(
    1, "time", "npm", "package", "npm:time", deployment_id=7, image="mcp-host/time:7"
)
FACTS = PolicyFacts(
    at=NOON,
    purpose=Purpose.SERVE,
    request=REQUEST,
    tier="gold:npm",
    digest=DIGEST,
    artifact=ArtifactFact(
        12,
        "succeeded",
        DIGEST,
        DIGEST,
        "",
        "gold:npm",
        "healthy",
        platforms=("linux/amd64",),
    ),
    executors=(DOCKER,),
)


def policy(*rules: dict[str, Any]) -> Policy:
    return parse({"version": 1, "rules": list(rules)})


def certify(**more: Any) -> Policy:
    return policy(
        {
            "kind": "require-certification",
            "tiers": ["gold:*"],
            "requirements": ["smoke"],
            **more,
        }
    )


def with_standing(standing: str, **more: Any) -> PolicyFacts:
    return replace(
        FACTS, certifications=(CertificationFact("smoke", standing, 3),), **more
    )


PROMOTE = policy({"kind": "require-promotion", "track": "production"})


def test_without_a_document_everything_launches() -> None:
    decision = decide(FACTS)

    assert decision.verdict is Verdict.LAUNCH
    assert (decision.backend, decision.image) == ("docker", "mcp-host/time:7")
    assert decision.notes == ("artifact:run:12",)
    assert not decision.reason


@pytest.mark.parametrize(
    ("standing", "note"),
    [
        ("missing", "evaluation:missing:gold:npm:smoke"),
        ("pending", "evaluation:pending:gold:npm:smoke"),
        ("failed", "evaluation:failed:gold:npm:smoke"),
        ("expired", "evaluation:expired:gold:npm:smoke"),
        ("not-yet", "evaluation:pending:gold:npm:smoke"),
    ],
)
def test_anything_but_an_active_pass_holds_and_says_what_is_missing(
    standing: str, note: str
) -> None:
    decision = decide(with_standing(standing), certify())

    assert decision.verdict is Verdict.HOLD_EVALUATION
    assert decision.evaluation_required
    assert note in decision.notes
    assert "smoke" in decision.reason
    assert decision.actions


def test_active_pass_launches_and_is_noted() -> None:
    decision = decide(with_standing("active"), certify())

    assert decision.verdict is Verdict.LAUNCH
    assert "evaluation:certified:gold:npm:smoke" in decision.notes
    assert not decision.evaluation_required


def test_certification_that_nobody_knows_of_is_missing() -> None:
    assert "evaluation:missing:gold:npm:smoke" in decide(FACTS, certify()).notes


def test_rule_for_another_tier_says_nothing() -> None:
    silver = replace(FACTS, tier="silver:npm")

    assert decide(silver, certify()).verdict is Verdict.LAUNCH


@pytest.mark.parametrize(
    "status", ["scheduled", "in_progress", "approved", "superseded", "rolled_back"]
)
def test_only_an_active_promotion_lifts_the_hold(status: str) -> None:
    here = (PromotionFact(5, "production", "canary", status),)

    decision = decide(replace(FACTS, promotions=here), PROMOTE)

    assert decision.verdict is Verdict.HOLD_GOVERNANCE
    assert decision.governance_required
    assert f"promotion:{status}:production:canary" in decision.notes
    assert "governance:missing-promotion:gold:npm" in decision.notes


def test_active_promotion_of_another_track_lifts_nothing() -> None:
    elsewhere = (PromotionFact(5, "playground", "canary", "active"),)

    assert (
        decide(replace(FACTS, promotions=elsewhere), PROMOTE).verdict
        is Verdict.HOLD_GOVERNANCE
    )


def test_strangers_track_lifts_nothing_where_the_rule_names_none() -> None:
    strangers = (PromotionFact(5, "mine", "canary", "active", is_own=False),)
    anywhere = policy({"kind": "require-promotion"})

    decision = decide(replace(FACTS, promotions=strangers), anywhere)

    assert decision.verdict is Verdict.HOLD_GOVERNANCE


def test_active_promotion_launches() -> None:
    here = (PromotionFact(5, "Production", "canary", "active"),)

    assert decide(replace(FACTS, promotions=here), PROMOTE).verdict is Verdict.LAUNCH


def test_both_flags_are_set_and_evaluation_comes_first() -> None:
    both = Policy((*certify().rules, *PROMOTE.rules))

    decision = decide(FACTS, both)

    assert decision.verdict is Verdict.HOLD_EVALUATION
    assert decision.evaluation_required
    assert decision.governance_required


def test_candidate_runs_although_its_deployment_is_held() -> None:
    decision = decide(replace(FACTS, purpose=Purpose.CANDIDATE), certify())

    assert decision.verdict is Verdict.LAUNCH
    assert {"candidate:not-routed", "evaluation:missing:gold:npm:smoke"} <= set(
        decision.notes
    )


def test_candidate_of_a_refused_source_does_not_run() -> None:
    denied = policy({"kind": "deny-source", "sources": ["npm:*"]})

    assert (
        decide(replace(FACTS, purpose=Purpose.CANDIDATE), denied).verdict
        is Verdict.REFUSE
    )


@pytest.mark.parametrize(
    ("on_expiry", "standing", "ends"),
    [
        ("keep", "expired", False),
        ("stop", "expired", True),
        ("stop", "failed", True),
        ("stop", "pending", False),
    ],
)
def test_what_runs_ends_only_where_the_tier_says_so(
    on_expiry: str, standing: str, *, ends: bool
) -> None:
    running = with_standing(standing, purpose=Purpose.KEEP, is_running=True)

    assert decide(running, certify(on_expiry=on_expiry)).ends_running is ends


def test_what_is_not_built_yet_is_held_by_nothing_that_looks_at_images() -> None:
    unbuilt = replace(
        FACTS,
        purpose=Purpose.BUILD,
        digest=None,
        artifact=None,
        request=replace(REQUEST, image=None),
    )

    decision = decide(unbuilt, Policy((*certify(tiers=["*"]).rules, *PROMOTE.rules)))

    assert decision.verdict is Verdict.BUILD
    assert decision.build_required
    assert decision.capability_requirements == ("image-build",)


def test_promoted_image_of_the_same_revision_is_taken_instead_of_a_build() -> None:
    before = ReusableFact(3, 2, 9, DIGEST, "mcp-host/time:3", "1.0", promotion_id=5)
    unbuilt = replace(
        FACTS,
        purpose=Purpose.BUILD,
        digest=None,
        artifact=None,
        reusable=before,
        request=replace(REQUEST, image=None),
    )

    decision = decide(unbuilt)

    assert decision.verdict is Verdict.LAUNCH
    assert (decision.image, decision.reuses, decision.artifact_run_id) == (
        "mcp-host/time:3",
        2,
        9,
    )
    assert not decision.build_required
    assert f"image:reused:2:{DIGEST}" in decision.notes


def test_image_of_the_catalog_is_taken_where_nothing_was_built() -> None:
    asked = replace(
        FACTS, digest=None, artifact=None, catalog_image="ghcr.io/a/b:1",
        request=replace(REQUEST, image=None, source_kind="catalog"),
    )  # fmt: skip

    decision = decide(asked)

    assert (decision.image, decision.build_required) == ("ghcr.io/a/b:1", False)
    assert "image:catalog:ghcr.io/a/b:1" in decision.notes


def test_refusal_says_which_capability_is_lacking() -> None:
    decision = decide(replace(FACTS, request=replace(REQUEST, use_gpu=True)))

    assert decision.verdict is Verdict.REFUSE
    assert not decision.capabilities_satisfied
    assert decision.capability_requirements == ("gpu",)
    assert "capability:missing:gpu:docker" in decision.notes
    assert "gpu" in decision.reason


def test_another_backend_is_taken_where_it_alone_can_and_the_notes_say_why() -> None:
    wants = replace(
        FACTS, executors=(DOCKER, STRONG), request=replace(REQUEST, isolation="vm")
    )

    decision = decide(wants)

    assert (decision.candidate_backend, decision.backend) == ("docker", "kata")
    assert {
        "capability:missing:isolation:vm:docker",
        "backend:override:docker:kata",
    } <= set(decision.notes)


def test_preferred_backend_is_taken_where_it_can() -> None:
    prefer = policy({"kind": "prefer-backend", "backend": "kata"})

    assert decide(replace(FACTS, executors=(DOCKER, STRONG)), prefer).backend == "kata"


def test_preferred_backend_that_is_not_there_is_noted() -> None:
    decision = decide(
        FACTS, policy({"kind": "prefer-backend", "backend": "kubernetes"})
    )

    assert decision.backend == "docker"
    assert "backend:unavailable:kubernetes" in decision.notes


@pytest.mark.parametrize(
    ("rule", "note"),
    [
        (
            {"kind": "require-isolation", "isolation": "sandboxed"},
            "isolation:insufficient:standard:sandboxed",
        ),
        (
            {"kind": "require-platforms", "platforms": ["linux/arm64"]},
            "platforms:missing:linux/arm64",
        ),
        (
            {"kind": "require-capability", "capabilities": ["gpu"]},
            "capability:missing:gpu:docker",
        ),
        (
            {"kind": "deny-source", "sources": ["git:*", "NPM:t?me"]},
            "source:denied:NPM:t?me",
        ),
    ],
)
def test_what_cannot_be_waited_for_is_refused(rule: dict[str, Any], note: str) -> None:
    decision = decide(FACTS, policy(rule))

    assert decision.verdict is Verdict.REFUSE
    assert note in decision.notes
    assert decision.actions


def test_evidence_that_is_still_made_holds() -> None:
    wants = policy({"kind": "require-evidence", "documents": ["sbom"]})

    decision = decide(FACTS, wants)

    assert decision.verdict is Verdict.HOLD_EVALUATION
    assert "evidence:missing:sbom" in decision.notes


def test_remote_server_needs_no_executor() -> None:
    remote = replace(
        FACTS,
        artifact=None,
        executors=(),
        request=replace(REQUEST, source_kind="remote", image=""),
    )

    decision = decide(remote, policy({"kind": "require-isolation", "isolation": "vm"}))

    assert (decision.verdict, decision.backend) == (Verdict.LAUNCH, "remote")


def test_stored_facts_make_the_same_decision() -> None:
    facts = with_standing(
        "expired", promotions=(PromotionFact(5, "production", "canary", "approved"),)
    )
    rules = Policy((*certify().rules, *PROMOTE.rules))

    again = facts_from_json(json.loads(json.dumps(facts_as_json(facts))))

    assert decide(again, rules) == decide(facts, rules)
    assert isinstance(decide(again, rules), Decision)


def test_facts_that_differ_in_their_moment_alone_have_one_fingerprint() -> None:
    later = replace(FACTS, at=NOON.replace(hour=13))

    assert fingerprint(later, 1) == fingerprint(FACTS, 1)
    assert fingerprint(FACTS, 2) != fingerprint(FACTS, 1)


# -- documents

WRONG: list[tuple[Any, str]] = [
    ([], "document"),
    ({"version": 2, "rules": []}, "document.version"),
    ({"version": 1}, "document.rules"),
    ({"version": 1, "rules": [], "rule": []}, "document.rule"),
    ({"version": 1, "rules": [{"kind": "no-such"}]}, "document.rules[0].kind"),
    ({"version": 1, "rules": ["x"]}, "document.rules[0]"),
    (
        {"version": 1, "rules": [{"kind": "require-certification"}]},
        "document.rules[0].requirements",
    ),
    (
        {
            "version": 1,
            "rules": [
                {"kind": "prefer-backend", "backend": "docker", "tiers": ["bronze:*"]}
            ],
        },
        "document.rules[0].tiers",
    ),
    (
        {
            "version": 1,
            "rules": [{"kind": "prefer-backend", "backend": "docker", "tier": "*"}],
        },
        "document.rules[0].tier",
    ),
]


@pytest.mark.parametrize(("body", "field"), WRONG)
def test_wrong_document_is_refused_by_the_name_of_its_field(
    body: Any, field: str
) -> None:
    with pytest.raises(InvalidError) as caught:
        parse(body)

    assert field in caught.value.fields


def test_every_kind_of_rule_can_be_written_and_read_again() -> None:
    written: list[dict[str, Any]] = [
        {"kind": "require-certification", "requirements": "smoke", "on_expiry": "stop"},
        {"kind": "require-promotion", "tiers": ["*:git"], "track": "production"},
        {"kind": "require-evidence", "documents": ["sbom"]},
        {"kind": "require-platforms", "platforms": ["arm64"]},
        {"kind": "require-isolation", "isolation": "sandboxed"},
        {"kind": "require-capability", "capabilities": ["gpu"]},
        {"kind": "prefer-backend", "backend": "docker"},
        {
            "kind": "deny-source",
            "sources": ["git:*"],
            "because": "reviewed packages only",
        },
    ]
    assert {item["kind"] for item in written} == set(KINDS)

    read = policy(*written)

    assert parse(read_text(write_text(read.as_dict()))) == read


@pytest.mark.parametrize(
    "text",
    [
        "a: [",
        "a: &x [1]\nb: *x",
        "a: 'é" + "x" * 70_000 + "'",
        "!!python/object:os.system {}",
    ],
)
def test_text_that_is_no_document_is_refused(text: str) -> None:
    with pytest.raises(InvalidError) as caught:
        read_text(text)

    assert "document" in caught.value.fields
