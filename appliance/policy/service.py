"""What people do with the policy's documents: write, compare, make active."""

from dataclasses import dataclass
from typing import Any

from appliance.accounts.access import BOX, require_known
from appliance.accounts.model import Action, Principal
from appliance.core.errors import InvalidError
from appliance.infra.database import Database
from appliance.jobs.queue import enqueue
from appliance.observability import audit
from appliance.observability.events import publish_in_transaction
from appliance.policy import document_store
from appliance.policy.document import EMPTY, difference, parse
from appliance.policy.errors import DocumentChangedError
from appliance.policy.model import REVIEW, Document
from appliance.policy.texts import read_text, write_text

MAX_NOTE = 500
#: Says that the caller did not look which version is active.
ANY = -1


@dataclass(frozen=True)
class Difference:
    """How two versions differ; 0 stands for no policy at all."""

    before: int
    after: int
    #: A unified diff of the two as YAML; empty: they say the same.
    text: str


class PolicyDocuments:
    """Everybody who is signed in may read the policy; administrators write it."""

    def __init__(self, database: Database) -> None:
        """Keep the database."""
        self._database = database

    # -- reading

    async def active(self) -> Document | None:
        """Return the active version; ``None``: there is no policy, and everything launches."""

        def read() -> Document | None:
            version = document_store.active_version()
            return None if version is None else document_store.get(version)

        return await self._database.run(read)

    async def page(
        self, *, before: int | None = None, limit: int = 50
    ) -> list[Document]:
        """Return versions, newest first; ``before`` is the cursor."""
        return await self._database.run(document_store.page, before=before, limit=limit)

    async def get(self, version: int) -> Document:
        """Return one version.

        Raises:
            NoDocumentError: There is none of this number.
        """
        return await self._database.run(document_store.get, version)

    async def compare(self, before: int | None, after: int | None) -> Difference:
        """Return how two versions differ.

        Args:
            before: 0: no policy; ``None``: the active one.
            after: The same; ``None``: the newest.

        Raises:
            NoDocumentError: There is none of such a number.
        """

        def read() -> Difference:
            newest = document_store.page(limit=1)
            one = document_store.active_version() or 0 if before is None else before
            last = newest[0].version if newest else 0
            other = last if after is None else after
            was, becomes = _text(one), _text(other)
            names = (f"version {one}", f"version {other}")
            return Difference(one, other, difference(was, becomes, names))

        return await self._database.run(read)

    # -- writing

    async def add(
        self, principal: Principal, document: Any, *, note: str = ""
    ) -> Document:
        """Store a version; it counts once it is made active. One that says the same as the newest is not stored again.

        Args:
            principal: Who writes.
            document: An object, or a text in YAML or JSON.
            note: Why, for whoever reads the list of versions.

        Raises:
            NotAllowedError: They are no administrator.
            InvalidError: Names each field that is wrong.
        """
        body = read_document(document)
        if len(note) > MAX_NOTE:
            raise InvalidError.field("note", f"give at most {MAX_NOTE} characters")

        def write() -> Document:
            require_known(principal, Action.ADMINISTER, BOX)
            newest = document_store.page(limit=1)
            if newest and newest[0].body == body:
                return newest[0]
            made = document_store.add(body, note=note.strip(), by=principal.name)
            _note(principal, "policy.create_document", made.version)
            return made

        return await self._database.run(write)

    async def activate(
        self, principal: Principal, version: int | None, *, expected: int | None = ANY
    ) -> Document | None:
        """Let a version count from now on; ``None``: none does, and everything launches.

        What is held is looked at again at once, and what runs where the version ends what runs.

        Args:
            principal: Who.
            version: Which.
            expected: The version that they believe is active (``None``: none); ``ANY``: whichever.

        Raises:
            NotAllowedError: They are no administrator.
            NoDocumentError: There is none of this number.
            DocumentChangedError: Another version is active than they believe.
        """

        def write() -> Document | None:
            require_known(principal, Action.ADMINISTER, BOX)
            document_store.alone()
            was = document_store.active_version()
            if expected not in {ANY, was}:
                now = f"version {was}" if was else "no version"
                raise DocumentChangedError(
                    f"Meanwhile {now} is active.", hint="Look at it and try again."
                )
            document_store.activate(version, by=principal.name)
            if version != was:
                _note(principal, "policy.activate", version, was=was)
                enqueue(REVIEW, {"all": True}, lane="policy:all")
            return None if version is None else document_store.get(version)

        return await self._database.run(write)


def read_document(document: Any) -> dict[str, Any]:
    """Return a document in the one form in which it is stored.

    Raises:
        InvalidError: Names each field that is wrong.
    """
    body = read_text(document) if isinstance(document, str) else document
    return parse(body).as_dict()


def _text(version: int) -> str:
    body = document_store.get(version).body if version else EMPTY.as_dict()
    return write_text(body)


def _note(
    principal: Principal, action: str, version: int | None, *, was: int | None = None
) -> None:
    audit.record(
        principal,
        action,
        object_type="policy",
        object_id=version,
        object_name=f"version {version}" if version else "none",
        before={"active": was} if action == "policy.activate" else None,
        after={"active": version} if action == "policy.activate" else None,
    )
    publish_in_transaction("policy.changed", None, {"version": version})
