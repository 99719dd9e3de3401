"""The evaluations of this box's servers, put together."""

from appliance.artifacts.service import LedgerService
from appliance.evaluations.certifying import CertificationService
from appliance.evaluations.files import EvidenceFiles
from appliance.evaluations.ports import Hide
from appliance.evaluations.room import Evaluations
from appliance.infra.database import Database
from appliance.servers.candidates import Candidates
from appliance.servers.evaluated import seen, subject
from appliance.servers.evaluation_targets import GatewayTargets
from appliance.servers.exchange import Gateway
from appliance.settings import Settings

_MIB = 1024**2


def make_evaluations(
    database: Database,
    settings: Settings,
    ledger: LedgerService,
    gateway: Gateway,
    *,
    hide: Hide,
) -> Evaluations:
    """Return what keeps certifications of servers' versions, and tests them."""
    files = EvidenceFiles(
        settings.data_dir / "evaluations",
        max_bytes=settings.evaluation_evidence_max_mib * _MIB,
    )
    certifications = CertificationService(
        database,
        ledger=ledger,
        subjects=subject,
        files=files,
        warn_days=settings.evaluation_warning_days,
    )
    return Evaluations(
        database,
        certifications,
        subjects=subject,
        seen=seen,
        targets=GatewayTargets(gateway, Candidates(database, gateway)),
        hide=hide,
    )
