"""Evidence, its keys and its state as rows."""

from peewee import BigAutoField, BigIntegerField, BlobField, TextField
from playhouse.postgres_ext import BinaryJSONField, DateTimeTZField

from appliance.infra.database import Table


class KeyRow(Table):
    """A signing key; the private part is sealed, and gone when the key is retired."""

    id = TextField(primary_key=True)
    pem = TextField()
    sealed = BlobField(null=True)
    created_at = DateTimeTZField()
    retired_at = DateTimeTZField(null=True)

    class Meta:
        table_name = "evidence_keys"


class DocumentRow(Table):
    """A signed document of a run."""

    id = BigAutoField()
    run_id = BigIntegerField()
    kind = TextField()
    platform = TextField()
    predicate_type = TextField()
    subjects = BinaryJSONField(index=False)
    bundle = BlobField()
    digest = TextField()
    size_bytes = BigIntegerField()
    key_id = TextField()
    made_by = TextField()
    created_at = DateTimeTZField()

    class Meta:
        table_name = "evidence_documents"


class RunStateRow(Table):
    """How far the evidence of a run is."""

    run_id = BigIntegerField(primary_key=True)
    state = TextField()
    error = TextField()
    referrers = BinaryJSONField(index=False)
    updated_at = DateTimeTZField()

    class Meta:
        table_name = "evidence_runs"
