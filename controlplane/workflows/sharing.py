"""Sharing resources with accounts, or with everybody, and taking that back."""

from typing import Any

from controlplane.contract.sharing import ResourcesOf, RevokeResourceSharing, ShareResource
from controlplane.operations.interface import Operation
from controlplane.store import ownership, rows
from controlplane.store.database import Tx
from controlplane.workflows.world import World, workflow

_SHARE = "SharedResourceVO"


@workflow(ShareResource)
async def share(op: Operation[World], message: ShareResource) -> dict[str, Any]:
    """What is shared already stays so."""

    def insert(tx: Tx) -> dict[str, Any]:
        for uuid in dict.fromkeys(message.resource_uuids):
            kind, owner = ownership.kind(tx, uuid), ownership.owner(tx, uuid)
            if kind is None or owner is None:
                continue  # deleted meanwhile
            for receiver in _receivers(message):
                who = {"receiver_account_uuid": receiver, "to_public": receiver is None}
                if not rows.exists(tx, _SHARE, resource_uuid=uuid, **who):
                    rows.insert(tx, _SHARE, owner_account_uuid=owner, resource_uuid=uuid, resource_type=kind, **who)
        return {}

    return await op.commit("share", insert)


@workflow(RevokeResourceSharing)
async def revoke(op: Operation[World], message: RevokeResourceSharing) -> dict[str, Any]:
    """What was made from a shared resource stays."""

    def remove(tx: Tx) -> dict[str, Any]:
        uuids = list(message.resource_uuids)
        if message.all:
            rows.delete_where(tx, _SHARE, resource_uuid=uuids)
        for receiver in _receivers(message):
            where = {"receiver_account_uuid": receiver, "to_public": receiver is None}
            rows.delete_where(tx, _SHARE, resource_uuid=uuids, **where)
        return {}

    return await op.commit("revoke", remove)


def _receivers(message: ResourcesOf) -> list[str | None]:
    """None stands for everybody."""
    accounts: list[str | None] = [*dict.fromkeys(message.account_uuids or ())]
    return [*accounts, None] if message.to_public else accounts
