"""People, sessions and keys as rows (migrations 0001, 0033, 0036, 0038, 0039, 0046 and 0047)."""

from peewee import (
    BigAutoField,
    BigIntegerField,
    BlobField,
    BooleanField,
    DoubleField,
    IntegerField,
    TextField,
)
from playhouse.postgres_ext import BinaryJSONField, DateTimeTZField

from appliance.infra.database import Table


class UserRow(Table):
    """A person."""

    id = BigAutoField()
    email = TextField()
    password_hash = TextField(null=True)
    role = TextField()
    created_at = DateTimeTZField()
    disabled_at = DateTimeTZField(null=True)
    server_quota = IntegerField(null=True)

    class Meta:
        table_name = "users"


class SessionRow(Table):
    """A browser that somebody is signed in with."""

    id = BigAutoField()
    user_id = BigIntegerField()
    token_hash = BlobField()
    csrf_token = TextField()
    user_agent = TextField()
    created_at = DateTimeTZField()
    last_seen_at = DateTimeTZField()
    expires_at = DateTimeTZField()
    revoked_at = DateTimeTZField(null=True)
    identity_id = BigIntegerField(null=True)
    id_token = BlobField(null=True)

    class Meta:
        table_name = "sessions"


class IdentityRow(Table):
    """Who a person is at a provider."""

    id = BigAutoField()
    user_id = BigIntegerField()
    issuer = TextField()
    subject = TextField()
    email = TextField()
    created_by = TextField()
    created_at = DateTimeTZField()
    last_used_at = DateTimeTZField(null=True)

    class Meta:
        table_name = "user_identities"


class ApiKeyRow(Table):
    """A key for programs: a person's, or one that acts for an organisation."""

    id = BigAutoField()
    user_id = BigIntegerField(null=True)
    name = TextField()
    prefix = TextField()
    key_hash = BlobField()
    created_at = DateTimeTZField()
    last_used_at = DateTimeTZField(null=True)
    expires_at = DateTimeTZField(null=True)
    revoked_at = DateTimeTZField(null=True)
    calls_per_second = DoubleField(null=True)
    concurrency = IntegerField(null=True)
    org_id = BigIntegerField(null=True)
    org_role = TextField(null=True)
    scope = BinaryJSONField(null=True, index=False)
    replaced_by = BigIntegerField(null=True)

    class Meta:
        table_name = "api_keys"


class PasswordResetRow(Table):
    """A link by which somebody sets a new password."""

    id = BigAutoField()
    user_id = BigIntegerField()
    token_hash = BlobField()
    created_by = TextField()
    created_at = DateTimeTZField()
    expires_at = DateTimeTZField()
    used_at = DateTimeTZField(null=True)

    class Meta:
        table_name = "password_resets"


class TotpRow(Table):
    """What a person's app was given."""

    user_id = BigIntegerField(primary_key=True)
    secret = BlobField()
    created_at = DateTimeTZField()
    confirmed_at = DateTimeTZField(null=True)
    last_step = BigIntegerField(null=True)

    class Meta:
        table_name = "user_totp"


class RecoveryCodeRow(Table):
    """A code for when the app is gone."""

    id = BigAutoField()
    user_id = BigIntegerField()
    code_hash = BlobField()
    used_at = DateTimeTZField(null=True)

    class Meta:
        table_name = "recovery_codes"


class LoginAttemptRow(Table):
    """One try to sign in, by e-mail and by address."""

    id = BigAutoField()
    subject = TextField()
    succeeded = BooleanField()
    at = DateTimeTZField()

    class Meta:
        table_name = "login_attempts"
