"""Keys, clients, grants, tokens and other issuers as rows (migrations 0034, 0035)."""

from peewee import (
    BigAutoField,
    BigIntegerField,
    BlobField,
    BooleanField,
    TextField,
)
from playhouse.postgres_ext import BinaryJSONField, DateTimeTZField

from appliance.infra.database import Table


class SigningKeyRow(Table):
    """A key that signs or checks access tokens."""

    kid = TextField(primary_key=True)
    issuer = TextField()
    alg = TextField()
    jwk = BinaryJSONField(index=False)
    private = BlobField(null=True)
    created_at = DateTimeTZField()
    retired_at = DateTimeTZField(null=True)

    class Meta:
        table_name = "oauth_signing_keys"


class ClientRow(Table):
    """A client, however it became known."""

    client_id = TextField(primary_key=True)
    kind = TextField()
    name = TextField()
    uri = TextField()
    redirect_uris = BinaryJSONField(index=False)
    grant_types = BinaryJSONField(index=False)
    auth_method = TextField()
    jwks = BinaryJSONField(index=False, null=True)
    secret_hash = BlobField(null=True)
    old_secret_hash = BlobField(null=True)
    old_secret_until = DateTimeTZField(null=True)
    scope = TextField()
    user_id = BigIntegerField(null=True)
    created_at = DateTimeTZField()
    last_used_at = DateTimeTZField(null=True)
    fresh_until = DateTimeTZField(null=True)
    deleted_at = DateTimeTZField(null=True)

    class Meta:
        table_name = "oauth_clients"


class GrantRow(Table):
    """What somebody allowed a client."""

    id = BigAutoField()
    user_id = BigIntegerField()
    client_id = TextField()
    issuer = TextField()
    resource = TextField()
    scope = TextField()
    is_machine = BooleanField()
    created_at = DateTimeTZField()
    last_used_at = DateTimeTZField(null=True)
    token_until = DateTimeTZField(null=True)
    revoked_at = DateTimeTZField(null=True)
    revoked_why = TextField()

    class Meta:
        table_name = "oauth_grants"


class CodeRow(Table):
    """An authorization code, by hash."""

    code_hash = BlobField(primary_key=True)
    grant_id = BigIntegerField()
    redirect_uri = TextField()
    challenge = TextField()
    created_at = DateTimeTZField()
    expires_at = DateTimeTZField()
    used_at = DateTimeTZField(null=True)

    class Meta:
        table_name = "oauth_codes"


class RefreshTokenRow(Table):
    """A refresh token, by hash."""

    token_hash = BlobField(primary_key=True)
    grant_id = BigIntegerField()
    created_at = DateTimeTZField()
    expires_at = DateTimeTZField()
    used_at = DateTimeTZField(null=True)

    class Meta:
        table_name = "oauth_refresh_tokens"


class AssertionRow(Table):
    """What a client signed and must not show again."""

    jti_hash = BlobField(primary_key=True)
    expires_at = DateTimeTZField()

    class Meta:
        table_name = "oauth_assertions"


class IssuerRow(Table):
    """Another authorization server, and what came of fetching its metadata."""

    issuer = TextField(primary_key=True)
    metadata = BinaryJSONField(index=False, null=True)
    fetched_at = DateTimeTZField(null=True)
    tried_at = DateTimeTZField()
    error = TextField()

    class Meta:
        table_name = "oauth_issuers"
