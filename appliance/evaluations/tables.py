"""Certifications, tests, suites and runs as rows."""

from peewee import (
    BigAutoField,
    BigIntegerField,
    BooleanField,
    CompositeKey,
    DoubleField,
    IntegerField,
    TextField,
)
from playhouse.postgres_ext import BinaryJSONField, DateTimeTZField

from appliance.infra.database import Table


class CertificationRow(Table):
    """What is known of one requirement for one digest and tier."""

    id = BigAutoField()
    artifact_run_id = BigIntegerField(null=True)
    server_id = BigIntegerField()
    server_name = TextField()
    owner_id = BigIntegerField(null=True)
    org_id = BigIntegerField(null=True)
    manifest_digest = TextField()
    tier = TextField()
    policy_requirement = TextField()
    status = TextField()
    evidence = BinaryJSONField(index=False)
    note = TextField()
    valid_from = DateTimeTZField(null=True)
    valid_until = DateTimeTZField(null=True)
    warn_days = IntegerField()
    origin = TextField()
    evaluation_run_id = BigIntegerField(null=True)
    certified_by = TextField()
    version = BigIntegerField()
    created_at = DateTimeTZField()
    updated_at = DateTimeTZField()
    due_at = DateTimeTZField(null=True)

    class Meta:
        table_name = "evaluation_certifications"


class FileRow(Table):
    """A file beside a certification."""

    id = BigAutoField()
    certification_id = BigIntegerField()
    name = TextField()
    digest = TextField()
    size_bytes = BigIntegerField()
    added_by = TextField()
    created_at = DateTimeTZField()

    class Meta:
        table_name = "evaluation_files"


class TestRow(Table):
    """A test of a server."""

    id = BigAutoField()
    server_id = BigIntegerField()
    name = TextField()
    tool = TextField()
    arguments = BinaryJSONField(index=False)
    expectation = BinaryJSONField(index=False)
    timeout_s = DoubleField()
    created_by = TextField()
    created_at = DateTimeTZField()
    updated_at = DateTimeTZField()

    class Meta:
        table_name = "evaluation_tests"


class SuiteRow(Table):
    """Tests that are run together."""

    id = BigAutoField()
    server_id = BigIntegerField()
    name = TextField()
    test_ids = BinaryJSONField(index=False)
    pass_share = DoubleField()
    certifies = BinaryJSONField(index=False, null=True)
    schedule = BinaryJSONField(index=False, null=True)
    next_run_at = DateTimeTZField(null=True)
    created_by = TextField()
    created_at = DateTimeTZField()
    updated_at = DateTimeTZField()

    class Meta:
        table_name = "evaluation_suites"


class RunRow(Table):
    """One run of a suite, or one replay."""

    id = BigAutoField()
    kind = TextField()
    server_id = BigIntegerField()
    server_name = TextField()
    suite_id = BigIntegerField(null=True)
    suite_name = TextField()
    deployment_id = BigIntegerField()
    deployment_number = IntegerField()
    is_candidate = BooleanField()
    digest = TextField(null=True)
    tier = TextField()
    artifact_run_id = BigIntegerField(null=True)
    plan = BinaryJSONField(index=False)
    state = TextField()
    reason = TextField()
    total = IntegerField()
    done = IntegerField()
    passed = IntegerField()
    score = DoubleField()
    summary = BinaryJSONField(index=False)
    requested_by = TextField()
    for_step = BigIntegerField(null=True)
    job_id = BigIntegerField(null=True)
    certification_id = BigIntegerField(null=True)
    created_at = DateTimeTZField()
    started_at = DateTimeTZField(null=True)
    finished_at = DateTimeTZField(null=True)

    class Meta:
        table_name = "evaluation_runs"


class ResultRow(Table):
    """What came of one call of a run."""

    run_id = BigIntegerField()
    position = IntegerField()
    name = TextField()
    tool = TextField()
    arguments = BinaryJSONField(index=False)
    outcome = TextField()
    score = DoubleField()
    problem = TextField()
    answered = TextField()
    expected = TextField()
    differences = BinaryJSONField(index=False)
    duration_ms = DoubleField()
    size_bytes = BigIntegerField()
    at = DateTimeTZField()

    class Meta:
        table_name = "evaluation_results"
        primary_key = CompositeKey("run_id", "position")


class AcceptedRow(Table):
    """A difference that somebody accepted."""

    id = BigAutoField()
    server_id = BigIntegerField()
    tool = TextField()
    path = TextField()
    kind = TextField()
    reason = TextField()
    accepted_by = TextField()
    accepted_at = DateTimeTZField()

    class Meta:
        table_name = "evaluation_accepted"
