"""What people do with bundles; the gateway hears of it through the routing table, within two seconds."""

from dataclasses import dataclass
from typing import Any

from appliance.accounts.access import Kind, new_of, require_found, sight
from appliance.accounts.model import Action, Principal
from appliance.accounts.orgs import store as orgs
from appliance.accounts.orgs.model import Transferred
from appliance.accounts.orgs.ownership import (
    new_owner,
    owner_of,
    recipient,
    record_transfer,
)
from appliance.bundles import store
from appliance.bundles.errors import BundleNotFoundError, MemberNotFoundError
from appliance.bundles.membership import member_of, members_of
from appliance.bundles.model import (
    Bundle,
    BundleChange,
    NewBundle,
    NewMember,
    OfferedTool,
)
from appliance.bundles.naming import (
    check_texts,
    check_together,
    offered_tools,
)
from appliance.bundles.trail import told
from appliance.core.ids import key_hash, new_key
from appliance.core.names import check_label
from appliance.infra.database import Database
from appliance.observability.audit import record as audit
from appliance.servers import store as servers
from appliance.servers.errors import CallRefusedError
from appliance.servers.mcp import McpCallError, McpClient
from appliance.servers.model import DeploymentState
from appliance.servers.service import INVALID_PARAMS
from appliance.servers.tool_reviews import held_tools

KEY_PREFIX = "mcpb_"
#: Characters of a key that stay visible, so that a person recognises it.
KEY_VISIBLE = len(KEY_PREFIX) + 6


@dataclass(frozen=True)
class BundleView:
    """A bundle as people see it."""

    bundle: Bundle
    #: Where MCP clients reach it.
    endpoint: str
    #: Name of the organisation that it belongs to; empty: it is a person's.
    org: str = ""


class BundleService:
    """Lists, makes, changes and calls bundles on behalf of a principal; a bundle is named by its id or its name.

    Whoever may not know of a bundle gets ``BundleNotFoundError``; whoever may see but not change it gets ``ForbiddenError``.
    """

    def __init__(
        self, database: Database, mcp: McpClient, *, gateway_public_url: str
    ) -> None:
        """Keep the collaborators."""
        self._database = database
        self._mcp = mcp
        self._gateway_public_url = gateway_public_url.rstrip("/")

    # -- reading

    async def page(
        self,
        principal: Principal,
        *,
        query: str = "",
        after: str = "",
        limit: int = 50,
        org_id: int | None = None,
    ) -> list[BundleView]:
        """Return up to ``limit`` bundles that the principal may see, by name, from the first name after ``after``.

        Args:
            principal: Who asks.
            query: Part of the name, any case; empty: all.
            after: A name.
            limit: At most so many.
            org_id: Only this organisation's; ``None``: all.
        """

        def read() -> list[BundleView]:
            found = store.page(
                sight=sight(principal),
                query=query,
                after=after,
                limit=limit,
                org_id=org_id,
            )
            return [self._view(bundle) for bundle in found]

        return await self._database.run(read)

    async def get(self, principal: Principal, bundle: int | str) -> BundleView:
        """Return one bundle."""
        return await self._database.run(lambda: self._view(_visible(principal, bundle)))

    async def tools(self, principal: Principal, bundle: int | str) -> list[OfferedTool]:
        """Return every member's tools, in the order in which clients see them, also those that are left out."""

        def read() -> list[OfferedTool]:
            found = _visible(principal, bundle)
            ids = [member.server_id for member in found.members]
            live = servers.deployments_in(ids, DeploymentState.LIVE)
            offered = []
            for member in found.members:
                deployment = live.get(member.server_id)
                manifest = (deployment.manifest if deployment else None) or {}
                allowed = deployment.config.tools if deployment else None
                offered += offered_tools(
                    member,
                    found.separator,
                    manifest.get("tools") or [],
                    allowed,
                    held=held_tools(member.server_id),
                )
            return offered

        return await self._database.run(read)

    # -- writing

    async def create(
        self, principal: Principal, new: NewBundle
    ) -> tuple[BundleView, str]:
        """Add a bundle and return it with its endpoint key, which is shown this once.

        Raises:
            InvalidError: A field is wrong, names of members would collide, or there is no such organisation.
            NotAllowedError: The principal may not make bundles there.
            BundleNameTakenError: Another bundle has the name.
        """
        check_label(new.name, example="my-tools")
        check_texts(new.description, new.separator)
        key = new_key(KEY_PREFIX)

        def write() -> BundleView:
            owner = new_owner(principal, Kind.BUNDLE, new.org)
            whose = new_of(principal, Kind.BUNDLE, owner.org_id)
            members = members_of(principal, whose, new.members)
            check_together(members, new.separator)
            bundle_id = store.add(
                new,
                owner=owner,
                key_hash=key_hash(key),
                key_prefix=key[:KEY_VISIBLE],
            )
            store.set_members(bundle_id, members)
            made = store.get(bundle_id)
            store.tell("bundle.created", made)
            _audit(principal, "bundle.create", made, after=told(made))
            return self._view(made)

        return await self._database.run(write), key

    async def change(
        self, principal: Principal, bundle: int | str, wanted: BundleChange
    ) -> BundleView:
        """Change what a bundle says, how it separates names, or all of its members and their order.

        Raises:
            InvalidError: A field is wrong, or names of members would collide.
        """

        def write(found: Bundle) -> None:
            description = (
                found.description if wanted.description is None else wanted.description
            )
            separator = (
                found.separator if wanted.separator is None else wanted.separator
            )
            check_texts(description, separator)
            members = list(found.members)
            if wanted.members is not None:
                members = members_of(principal, found.thing, wanted.members)
            check_together(members, separator)
            store.change(found.id, description=description, separator=separator)
            if wanted.members is not None:
                store.set_members(found.id, members)

        return await self._change(principal, bundle, "bundle.change", write)

    async def set_member(
        self, principal: Principal, bundle: int | str, new: NewMember
    ) -> BundleView:
        """Add a server as the last member, or change how it takes part.

        Raises:
            InvalidError: A field is wrong, or names would collide.
        """

        def write(found: Bundle) -> None:
            member = member_of(principal, found.thing, new)
            known = [item.server_id for item in found.members]
            if member.server_id in known:
                members = [
                    member if item.server_id == member.server_id else item
                    for item in found.members
                ]
            else:
                members = [*found.members, member]
            check_together(members, found.separator)
            store.set_members(found.id, members)

        return await self._change(principal, bundle, "bundle.set_member", write)

    async def remove_member(
        self, principal: Principal, bundle: int | str, server: int | str
    ) -> BundleView:
        """Take a server out of a bundle.

        Raises:
            MemberNotFoundError: It is not in it.
        """

        def write(found: Bundle) -> None:
            left = [
                item
                for item in found.members
                if server not in {item.server_id, item.server}
            ]
            if len(left) == len(found.members):
                raise MemberNotFoundError(f"{found.name} has no member {server}.")
            store.set_members(found.id, left)

        return await self._change(principal, bundle, "bundle.remove_member", write)

    async def delete(self, principal: Principal, bundle: int | str) -> None:
        """Remove a bundle; its endpoint is gone at once, its members stay."""

        def write() -> None:
            found = _writable(principal, bundle, Action.DELETE)
            store.delete(found.id)
            store.tell("bundle.deleted", found)
            _audit(principal, "bundle.delete", found, before=told(found))

        await self._database.run(write)

    async def transfer(
        self,
        principal: Principal,
        bundle: int | str,
        *,
        org: int | str | None = None,
        email: str = "",
    ) -> Transferred:
        """Give a bundle to an organisation, a person or oneself; members that its new owner may not call are left out.

        Raises:
            NotAllowedError: They may not give it away, or not bring bundles there.
            InvalidError: There is no such organisation or person.
        """

        def write() -> Transferred:
            found = _writable(principal, bundle, Action.TRANSFER)
            after = recipient(principal, Kind.BUNDLE, org=org, email=email)
            before = owner_of(found.owner_id, found.org_id)
            owner_id = after.user_id if after.org_id is None else found.owner_id
            store.give(found.id, owner_id=owner_id, org_id=after.org_id)
            changed = store.get(found.id)
            store.tell("bundle.changed", changed)
            record_transfer(
                principal,
                Kind.BUNDLE,
                found.id,
                found.name,
                before=before,
                after=after,
            )
            return Transferred(before, after)

        return await self._database.run(write)

    async def rotate_key(self, principal: Principal, bundle: int | str) -> str:
        """Return a new endpoint key, shown this once; the old one stops working at once."""
        key = new_key(KEY_PREFIX)

        def write() -> None:
            found = _writable(principal, bundle)
            store.set_key(
                found.id, key_hash=key_hash(key), key_prefix=key[:KEY_VISIBLE]
            )
            _audit(
                principal,
                "bundle.rotate_key",
                found,
                before={"endpoint_key_prefix": found.endpoint_key_prefix},
                after={"endpoint_key_prefix": key[:KEY_VISIBLE]},
            )

        await self._database.run(write)
        return key

    # -- calling

    async def invoke(
        self,
        principal: Principal,
        bundle: int | str,
        tool: str,
        arguments: dict[str, Any],
        *,
        timeout_s: float = 60,
    ) -> dict[str, Any]:
        """Call a tool by the name that clients see, through the gateway, and return the MCP result.

        Raises:
            McpUnavailableError: The gateway does not answer.
            CallRefusedError: The bundle does not know the tool, or its server not these arguments.
            McpCallError: The member is away, or answered with another error.
        """

        def check() -> Bundle:
            found = _writable(principal, bundle, Action.CALL)
            _audit(principal, "bundle.invoke", found, {"tool": tool})
            return found

        found = await self._database.run(check)
        try:
            return await self._mcp.call_tool(
                found.name, tool, arguments, timeout_s, place="bundles"
            )
        except McpCallError as error:
            if error.rpc_code != INVALID_PARAMS:
                raise
            raise CallRefusedError(error.detail, hint=error.hint) from error

    # -- inside

    def _view(self, bundle: Bundle) -> BundleView:
        org = (
            orgs.names([bundle.org_id]).get(bundle.org_id, "") if bundle.org_id else ""
        )
        endpoint = f"{self._gateway_public_url}/bundles/{bundle.name}/mcp"
        return BundleView(bundle, endpoint, org)

    async def _change(
        self, principal: Principal, bundle: int | str, action: str, write: Any
    ) -> BundleView:
        def run() -> BundleView:
            store.lock(_writable(principal, bundle).id)
            found = _writable(principal, bundle)
            write(found)
            changed = store.get(found.id)
            store.tell("bundle.changed", changed)
            _audit(principal, action, changed, before=told(found), after=told(changed))
            return self._view(changed)

        return await self._database.run(run)


def _visible(principal: Principal, bundle: int | str) -> Bundle:
    return _writable(principal, bundle, Action.SEE)


def _writable(
    principal: Principal, bundle: int | str, action: Action = Action.CHANGE
) -> Bundle:
    missing = BundleNotFoundError(f"There is no bundle {bundle}.")
    return require_found(principal, action, store.find(bundle), missing)


def _audit(
    principal: Principal,
    action: str,
    bundle: Bundle,
    details: dict[str, Any] | None = None,
    *,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> None:
    audit(
        principal,
        action,
        object_type="bundle",
        object_id=bundle.id,
        object_name=bundle.name,
        details=details or {},
        before=before,
        after=after,
    )
