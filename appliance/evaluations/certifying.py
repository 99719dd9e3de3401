"""Certifications as the rest of the hub sees them: read, written, asked for again, and looked after when they end."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import structlog

from appliance.accounts.access import Kind, Thing, require
from appliance.accounts.model import Action, Principal
from appliance.artifacts.identity import digest_of_run
from appliance.artifacts.model import Artifact
from appliance.artifacts.service import LedgerService, thing_of
from appliance.core.errors import InvalidError
from appliance.core.tiers import tier_of
from appliance.evaluations import store
from appliance.evaluations.certifications import (
    requirement_name,
    standing,
    tier_name,
    windowed,
)
from appliance.evaluations.errors import (
    CertificationNotFoundError,
    EvidenceFileNotFoundError,
    EvidenceTooLargeError,
    NothingToCertifyError,
)
from appliance.evaluations.files import EvidenceFiles
from appliance.evaluations.model import (
    About,
    Certification,
    EvidenceFile,
    Finding,
    Standing,
    Status,
)
from appliance.evaluations.ports import Subjects
from appliance.evaluations.telling import tell, trail
from appliance.infra.database import Database
from appliance.observability import audit

log = structlog.get_logger("evaluations.certifications")

#: Files beside one certification.
MAX_FILES = 20


class CertificationService:
    """Keeps certifications on behalf of people.

    Args:
        ledger: Knows who may know of a run.
        subjects: Knows who may know of a server, and its newest version.
        files: Where evidence lies.
        warn_days: Days of warning where nothing else is said.
    """

    def __init__(
        self,
        database: Database,
        *,
        ledger: LedgerService,
        subjects: Subjects,
        files: EvidenceFiles,
        warn_days: int = 7,
    ) -> None:
        """Keep the parts."""
        self._database = database
        self._ledger = ledger
        self._subjects = subjects
        self._files = files
        self.warn_days = warn_days

    # -- reading

    async def of_artifact(
        self, principal: Principal, run_id: int
    ) -> list[Certification]:
        """Return what is certified of a run of the ledger, the newest change first.

        Raises:
            ArtifactNotFoundError: There is no such run, or the principal may not know of it.
        """
        await self._ledger.get(principal, run_id)
        return await self._database.run(store.of_run, run_id)

    async def of_server(
        self, principal: Principal, server: int | str
    ) -> list[Certification]:
        """Return what is certified of a server's versions, the newest change first.

        Raises:
            ServerNotFoundError: There is no such server, or the principal may not know of it.
        """

        def read() -> list[Certification]:
            found = self._subjects(principal, server, Action.SEE)
            return store.of_server(found.server_id)

        return await self._database.run(read)

    async def get(self, principal: Principal, certification_id: int) -> Certification:
        """Return one certification.

        Raises:
            CertificationNotFoundError: There is none, or the principal may not know of it.
        """
        return await self._database.run(
            _allowed, principal, Action.SEE, certification_id
        )

    async def standings(
        self, found: list[Certification]
    ) -> tuple[datetime, list[Standing]]:
        """Return what certifications are worth now, and when that is."""
        at = await self._database.run(store.moment)
        return at, [standing(item, at) for item in found]

    # -- writing

    async def certify_artifact(  # noqa: PLR0913 - what is certified, and as what
        self,
        principal: Principal,
        run_id: int,
        finding: Finding,
        *,
        tier: str,
        requirement: str,
        digest: str = "",
        expected_version: int | None = None,
    ) -> Certification:
        """Write what was found about a run of the ledger.

        Args:
            tier: Empty: the run's own.
            digest: Empty: the one by which the run is known.

        Raises:
            ArtifactNotFoundError: There is no such run, or the principal may not know of it.
            NotAllowedError: The principal may see it and not deploy it.
            InvalidError: Tier, requirement, digest or window make no sense.
            NothingToCertifyError: The run came to no image.
            CertificationChangedError: There is another version than was expected.
        """
        artifact = await self._ledger.require(principal, Action.DEPLOY, run_id)
        name = requirement_name(requirement)
        about = await self._database.run(
            self._about_run, artifact, tier_name(tier) if tier else "", name, digest
        )
        return await self._put(principal, about, finding, expected_version)

    async def certify_server(
        self,
        principal: Principal,
        server: int | str,
        finding: Finding,
        *,
        tier: str,
        requirement: str,
        expected_version: int | None = None,
    ) -> Certification:
        """Write what was found about a server's newest version, be it built here or not.

        Raises:
            ServerNotFoundError: There is no such server, or the principal may not know of it.
            NotAllowedError: The principal may see it and not deploy it.
            InvalidError: Tier, requirement or window make no sense.
            NothingToCertifyError: It has no version yet.
            CertificationChangedError: There is another version than was expected.
        """
        subject = await self._database.run(
            self._subjects, principal, server, Action.DEPLOY
        )
        if subject.digest is None:
            raise NothingToCertifyError(
                f"{subject.server_name} has no version yet.",
                hint="Deploy it first: what is certified is what was built.",
            )
        about = About(
            artifact_run_id=subject.artifact_run_id,
            server_id=subject.server_id,
            server_name=subject.server_name,
            owner_id=subject.owner_id,
            org_id=subject.org_id,
            manifest_digest=subject.digest,
            tier=tier_name(tier or subject.tier),
            policy_requirement=requirement_name(requirement),
        )
        return await self._put(principal, about, finding, expected_version)

    async def retry(
        self,
        principal: Principal,
        certification_id: int,
        expected_version: int | None = None,
    ) -> Certification:
        """Make a certification pending again, without its window; its evidence stays to be read.

        Raises:
            CertificationNotFoundError: There is none, or the principal may not know of it.
            NotAllowedError: The principal may see it and not deploy its server.
            CertificationChangedError: There is another version than was expected.
        """

        def write() -> Certification:
            found = _allowed(principal, Action.DEPLOY, certification_id)
            pending = replace(
                found.finding,
                status=Status.PENDING,
                valid_from=None,
                valid_until=None,
                evaluation_run_id=None,
            )
            return certified(
                principal,
                found.about,
                pending,
                action="certification.retry",
                expected_version=expected_version,
            )

        return await self._database.run(write)

    @staticmethod
    def _about_run(
        artifact: Artifact, tier: str, requirement: str, digest: str
    ) -> About:
        run = artifact.run
        own = digest_of_run(run)
        if own is None:
            raise NothingToCertifyError(
                f"Artifact {artifact.id} came to no image.",
                hint="Certify a run that succeeded.",
            )
        if digest and digest != own:
            raise InvalidError.field(
                "manifest_digest", f"is not this run's, which is {own}; leave it out"
            )
        thing = thing_of(artifact)
        return About(
            artifact_run_id=artifact.id,
            server_id=run.server_id,
            server_name=run.server_name,
            owner_id=thing.owner_id,
            org_id=thing.org_id,
            manifest_digest=own,
            tier=tier or tier_of(artifact.rating.tier_class.value, run.server_type),
            policy_requirement=requirement,
        )

    async def _put(
        self,
        principal: Principal,
        about: About,
        finding: Finding,
        expected_version: int | None,
    ) -> Certification:
        def write() -> Certification:
            checked = windowed(finding, store.moment())
            return certified(
                principal, about, checked, expected_version=expected_version
            )

        return await self._database.run(write)

    # -- files

    async def add_file(
        self,
        principal: Principal,
        certification_id: int,
        name: str,
        chunks: AsyncIterator[bytes],
    ) -> EvidenceFile:
        """Put a file beside a certification.

        Raises:
            CertificationNotFoundError: There is none, or the principal may not know of it.
            NotAllowedError: The principal may see it and not deploy its server.
            EvidenceTooLargeError: The file is too large, empty, or one too many.
        """

        def check() -> Certification:
            found = _allowed(principal, Action.DEPLOY, certification_id)
            if len(found.files) >= MAX_FILES:
                raise EvidenceTooLargeError.field(
                    "file", f"is one too many: {MAX_FILES} lie beside it already"
                )
            return found

        await self._database.run(check)
        digest, size_bytes = await self._files.receive(chunks)

        def write() -> EvidenceFile:
            found = check()
            added = store.add_file(
                found.id,
                name=name,
                digest=digest,
                size_bytes=size_bytes,
                added_by=principal.name,
            )
            after = {"file": name, "digest": digest, "size_bytes": size_bytes}
            trail(principal, "certification.add_file", found, details=after)
            tell("certification.changed", found)
            return added

        return await self._database.run(write)

    async def file(
        self, principal: Principal, certification_id: int, file_id: int
    ) -> tuple[EvidenceFile, Path]:
        """Return a file beside a certification, and where it lies.

        Raises:
            CertificationNotFoundError: There is none, or the principal may not know of it.
            EvidenceFileNotFoundError: There is no such file beside it.
        """
        found = await self.get(principal, certification_id)
        for item in found.files:
            if item.id == file_id:
                return item, self._files.path(item.digest)
        raise EvidenceFileNotFoundError(
            f"There is no file {file_id} beside certification {certification_id}."
        )

    async def prune(self) -> int:
        """Remove files that no certification names; return how many went."""
        return await self._files.prune(await self._database.run(store.digests_in_use))


def certified(
    actor: audit.Actor,
    about: About,
    finding: Finding,
    *,
    action: str = "certification.set",
    expected_version: int | None = None,
) -> Certification:
    """Write what was found, tell of it, and have what it holds looked at again; runs inside ``database.run``.

    Raises:
        CertificationChangedError: There is another version than was expected.
    """
    before, after = store.put(
        about, finding, actor.name, expected_version=expected_version
    )
    trail(actor, action, after, before=before)
    tell("certification.changed", after, reviews=True)
    log.info(
        action,
        certification_id=after.id,
        digest=about.manifest_digest,
        tier=about.tier,
        requirement=about.policy_requirement,
        status=finding.status.value,
    )
    return after


def _allowed(
    principal: Principal, action: Action, certification_id: int
) -> Certification:
    found = store.get(certification_id, lock=action is not Action.SEE)
    about = found.about
    require(
        principal,
        action,
        Thing(
            Kind.ARTIFACT,
            about.artifact_run_id,
            about.owner_id,
            about.org_id,
            about.server_id,
        ),
        CertificationNotFoundError(f"There is no certification {certification_id}."),
    )
    return found
