"""steppe_resource_share: with whom one resource is shared, wholly: what others share of it besides is drift."""

from collections.abc import Iterator
from typing import Any, ClassVar

from provider.client.control_plane import ControlPlane
from provider.client.errors import ApiFailure
from provider.framework import validate
from provider.framework.diagnostics import Partial, Path, Refused
from provider.framework.plan import Object
from provider.framework.resource import Context, Resource
from provider.framework.schema import Schema, computed, optional
from provider.framework.types import BOOL, STRING, Value
from provider.resources.base import reference, references, same_or

LIMIT = 60.0  # seconds
COLLECTION, PATH = "accounts/resources", "/accounts/resources"


def _with_somebody(config: dict[str, Value]) -> Iterator[tuple[Path, str]]:
    accounts = config.get("account_uuids")
    if (accounts is None or accounts == []) and config.get("to_public") in (None, False):
        yield ("account_uuids",), "With whom? account_uuids names accounts, to_public = true shares with every one."


class ResourceShare(Resource):
    type_name = "steppe_resource_share"
    identity: ClassVar[tuple[str, ...]] = ("resource_uuid",)
    imported_by: ClassVar[tuple[str, str]] = ("the resource's uuid", "0123456789abcdef0123456789abcdef")
    schema = Schema(
        {
            "resource_uuid": reference(
                "",
                "UUID of the resource: an image, a network, an offering, a zone, … VMs, volumes and snapshots cannot be "
                "shared.",
            ),
            "account_uuids": references("", "UUIDs of the accounts that may see and use it; changed in place."),
            "to_public": optional(BOOL, "Whether every account may; changed in place.", default=False),
            "resource_type": computed(STRING, "What it is, e.g. `ImageVO` or `L3NetworkVO`."),
            "owner_uuid": computed(STRING, "UUID of the account that it belongs to, which alone may change it."),
        },
        "A resource that is shared with other accounts. What they made from it stays when it is destroyed or taken back.",
        rules=(_with_somebody,),
    )

    def create(self, context: Context, planned: Object) -> Object:
        found = self._find(context.client, planned["resource_uuid"], planned)
        if found is not None:
            others = set(found["account_uuids"] or []) - set(planned["account_uuids"] or [])
            if others or (found["to_public"] and not planned["to_public"]):
                with_whom = ", ".join([*sorted(others), *(["every account"] if found["to_public"] else [])])
                detail = (
                    f"It is shared with {with_whom}: import {planned['resource_uuid']}, or state that in one place."
                )
                raise Refused("The resource is shared already", detail, ("resource_uuid",))
        return self._bring(context, found, planned)

    def read(self, context: Context, state: Object) -> Object | None:
        return self._find(context.client, state["resource_uuid"], state)

    def update(self, context: Context, prior: Object, planned: Object) -> Object:
        try:
            return self._bring(context, prior, planned)
        except Exception as error:
            raise Partial(error, self.read(context, prior) or prior) from error

    def delete(self, context: Context, state: Object) -> None:
        try:
            self._send(context, "revokeResourceSharing", state["resource_uuid"], {"all": True})
        except ApiFailure as failure:
            if not failure.gone:
                raise

    def import_state(self, context: Context, identifier: str) -> Object:
        complaint = validate.uuid(identifier)
        found = None if complaint else self._find(context.client, identifier, {})
        if found is None:
            raise Refused("Cannot import", complaint or f"The resource {identifier} is shared with nobody.")
        return found

    def _bring(self, context: Context, before: Object | None, planned: Object) -> Object:
        """Share first: whoever stays has it at every moment."""
        was, now = (set((one or {}).get("account_uuids") or []) for one in (before, planned))
        public = bool(before and before["to_public"])
        uuid, open_ = planned["resource_uuid"], planned["to_public"]
        if now - was or (open_ and not public):
            asked = {"accountUuids": sorted(now - was), "toPublic": open_ and not public}
            self._send(context, "shareResource", uuid, asked)
        if was - now or (public and not open_):
            asked = {"accountUuids": sorted(was - now), "toPublic": public and not open_}
            self._send(context, "revokeResourceSharing", uuid, asked)
        found = self._find(context.client, uuid, planned)
        if found is None:
            raise Refused("The share disappeared", "It was revoked by somebody else meanwhile.")
        return found

    def _send(self, context: Context, action: str, uuid: str, asked: dict[str, Any]) -> None:
        context.client.action(PATH, action, {"resourceUuids": [uuid]} | asked, timeout=LIMIT)

    def _find(self, client: ControlPlane, uuid: str, state: Object) -> Object | None:
        found = client.query(COLLECTION, resourceUuid=uuid)
        if not found:
            return None
        accounts = sorted(one["receiverAccountUuid"] for one in found if one.get("receiverAccountUuid"))
        return {
            "resource_uuid": uuid,
            "account_uuids": same_or(state.get("account_uuids"), accounts or None),
            "to_public": any(one["toPublic"] for one in found),
            "resource_type": found[0]["resourceType"],
            "owner_uuid": found[0]["ownerAccountUuid"],
        }
