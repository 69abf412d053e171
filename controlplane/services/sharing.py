"""Checks of sharing: only the owner shares, with accounts that exist, and only what several accounts can use."""

from controlplane.contract.base import PRIVATE
from controlplane.contract.error import invalid, not_found, refused
from controlplane.contract.sharing import ResourcesOf, RevokeResourceSharing, ShareResource
from controlplane.services.registry import Caller, permits
from controlplane.store import ownership, rows
from controlplane.store.database import Tx


@permits(ShareResource)
def may_share(tx: Tx, caller: Caller, message: ShareResource) -> None:
    if not (message.account_uuids or message.to_public):
        raise invalid("accountUuids or toPublic is needed: with whom?", "accountUuids")
    for account in message.account_uuids or ():
        if not rows.exists(tx, "AccountVO", uuid=account):
            raise not_found(f"field[accountUuids] of ShareResource: there is no AccountVO {account}", "accountUuids")
    for uuid, kind in _own(tx, caller, message).items():
        if kind in PRIVATE:
            raise refused(f"{kind} {uuid} cannot be shared: what is done to it would be done to its owner's")


@permits(RevokeResourceSharing)
def may_revoke(tx: Tx, caller: Caller, message: RevokeResourceSharing) -> None:
    if not (message.account_uuids or message.to_public or message.all):
        raise invalid("accountUuids, toPublic or all is needed: from whom?", "accountUuids")
    _own(tx, caller, message)


def _own(tx: Tx, caller: Caller, message: ResourcesOf) -> dict[str, str]:
    """Uuid and type of the resources; raises SYS.1003 for one that is not the caller's."""
    found = {}
    for uuid in message.resource_uuids:
        kind = ownership.kind(tx, uuid)
        if kind is None or not (caller.is_admin or ownership.owner(tx, uuid) == caller.account_uuid):
            field = "resourceUuids"
            raise not_found(f"field[{field}] of {message.api_name()}: there is no resource {uuid}", field)
        found[uuid] = kind
    return found
