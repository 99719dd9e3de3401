"""One module a kind of service: its fields, and the variables that it becomes. Pure."""

from appliance.integrations.kinds import custom, postgres, redis, s3
from appliance.integrations.kinds.ports import Kind
from appliance.integrations.model import ServiceKind

KINDS: dict[ServiceKind, Kind] = {
    ServiceKind.REDIS: redis.KIND,
    ServiceKind.POSTGRES: postgres.KIND,
    ServiceKind.S3: s3.KIND,
    ServiceKind.CUSTOM: custom.KIND,
}
