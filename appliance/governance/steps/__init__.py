"""Kinds of steps, one a file."""

from collections.abc import Mapping

from appliance.governance.steps.approval import ApprovalKind
from appliance.governance.steps.base import StepKind
from appliance.governance.steps.credential_rotation import CredentialRotationKind
from appliance.governance.steps.evaluation import EvaluationKind
from appliance.governance.steps.recertification import RecertificationKind
from appliance.governance.steps.replay import ReplayKind
from appliance.governance.steps.soak import SoakKind
from appliance.governance.steps.webhook import WebhookKind

_ALL: tuple[StepKind, ...] = (
    ApprovalKind(),
    EvaluationKind(),
    ReplayKind(),
    SoakKind(),
    WebhookKind(),
    RecertificationKind(),
    CredentialRotationKind(),
)
#: By the name that workflows use, in the order in which people are offered them.
KINDS: Mapping[str, StepKind] = {kind.name: kind for kind in _ALL}
APPROVAL = ApprovalKind.name
