"""Whose a resource is, and who else may see it; as SQL, so that a query stays one statement.

A resource belongs to one account (`AccountResourceRefVO`) and may be shared (`SharedResourceVO`). What is part of another
resource (a NIC, an address range) is seen by whoever sees that; its tags, which are notes and instructions of its owner,
by the owner alone. A viewer is an account's uuid; None, the
administrator, sees everything. What has no owner and no rule here is the administrator's alone.
"""

from functools import cache
from typing import Any

from sqlalchemy import BindParameter, ColumnElement, FromClause, Select, bindparam, false, or_, select, true
from sqlalchemy.sql.base import ReadOnlyColumnCollection

from controlplane.contract.account import ADMIN_UUID
from controlplane.contract.base import PRIVATE
from controlplane.store import rows, tables
from controlplane.store.database import Tx
from controlplane.store.prepared import Prepared

Viewer = str | None
_Who = str | BindParameter[str]  # itself, or to be told when the statement runs
REF, SHARE = tables.table("AccountResourceRefVO"), tables.table("SharedResourceVO")
# part → the column that names the whole, and the whole
_PARTS = {
    "VmNicVO": ("vm_instance_uuid", "VmInstanceVO"),
    "IpRangeVO": ("l3_network_uuid", "L3NetworkVO"),
    "NetworkServiceL3NetworkRefVO": ("l3_network_uuid", "L3NetworkVO"),
    "ImageBackupStorageRefVO": ("image_uuid", "ImageVO"),
    "LocalStorageResourceRefVO": ("resource_uuid", None),
    "VolumeSnapshotTreeVO": ("volume_uuid", "VolumeVO"),
}
_TAGS = ("SystemTagVO", "UserTagVO")
# What carries its account itself.
_OF_ACCOUNT = {
    "AccountVO": "uuid",
    "AccessKeyVO": "account_uuid",
    "AccountResourceRefVO": "account_uuid",
    "QuotaVO": "identity_uuid",
    "AuditVO": "account_uuid",
}
_EVERYBODYS = ("NetworkServiceProviderVO",)
# What goes to the same owner with its whole.
_CHILDREN = {"VmInstanceVO": ("VolumeVO", "vm_instance_uuid")}


def visible(viewer: Viewer, resource_type: str, source: FromClause) -> ColumnElement[bool]:
    """Of the rows of `source`, the table of that resource or an alias of it: those that the viewer may see."""
    if resource_type == "SharedResourceVO" and viewer is not None:
        return or_(source.c.owner_account_uuid == viewer, _received(source.c, viewer))
    return _rule(viewer, resource_type, source, shared=True)


def owned(viewer: Viewer, resource_type: str, source: FromClause) -> ColumnElement[bool]:
    """Those that the viewer may change."""
    return _rule(viewer, resource_type, source, shared=False)


def _rule(viewer: _Who | None, resource_type: str, source: FromClause, shared: bool) -> ColumnElement[bool]:
    if viewer is None:
        return true()
    if resource_type in _EVERYBODYS:
        return true() if shared else false()
    if resource_type in _OF_ACCOUNT:
        return source.c[_OF_ACCOUNT[resource_type]] == viewer
    if resource_type in _TAGS:
        key = source.c.resource_uuid
        return or_(key.in_(_uuids(viewer, None, False)), *(key.in_(_parts(viewer, part)) for part in _NUMBERED))
    if resource_type in _PARTS:
        column, whole = _PARTS[resource_type]
        return source.c[column].in_(_uuids(viewer, whole, shared))
    if "uuid" not in source.c:
        return false()
    return source.c.uuid.in_(_uuids(viewer, resource_type, shared))


_NUMBERED = [part for part in _PARTS if part in tables.metadata.tables and "uuid" in tables.table(part).c]


def _parts(viewer: _Who, part: str) -> Select[tuple[str]]:
    """The viewer's own."""
    table = tables.table(part).alias()
    column, whole = _PARTS[part]
    return select(table.c.uuid).where(table.c[column].in_(_uuids(viewer, whole, False)))


def _uuids(viewer: _Who, resource_type: str | None, shared: bool) -> Select[tuple[str]]:
    """Uuids of the viewer's resources of that type (None: of any), and with `shared` of those lent to them."""
    ref, share = REF.alias(), SHARE.alias()
    mine = select(ref.c.resource_uuid).where(ref.c.account_uuid == viewer)
    lent = select(share.c.resource_uuid).where(_received(share.c, viewer))
    if resource_type in PRIVATE:
        shared = False  # one list less: these are the large tables
    if resource_type:
        mine = mine.where(ref.c.resource_type == resource_type)
        lent = lent.where(share.c.resource_type == resource_type)
    return select(mine.union_all(lent).subquery().c.resource_uuid) if shared else mine


def _received(share: "ReadOnlyColumnCollection[str, Any]", viewer: _Who) -> ColumnElement[bool]:
    return or_(share.receiver_account_uuid == viewer, share.to_public)


# -- within a transaction ------------------------------------------------------------------------------------------------


def sees(tx: Tx, viewer: Viewer, resource_type: str, uuid: str) -> bool:
    """It exists, and the viewer may see it."""
    return _holds(tx, viewer, resource_type, uuid, shared=True)


def seen(tx: Tx, viewer: Viewer, resource_type: str, found: list[rows.Row]) -> list[rows.Row]:
    """Of these rows those that the viewer may see."""
    if viewer is None or not found:
        return found
    table = tables.table(resource_type)
    uuids = set(tx.execute(select(table.c.uuid).where(visible(viewer, resource_type, table))).scalars())
    return [row for row in found if row["uuid"] in uuids]


def owns(tx: Tx, viewer: Viewer, resource_type: str, uuid: str) -> bool:
    """It exists, and the viewer may change it."""
    return _holds(tx, viewer, resource_type, uuid, shared=False)


def _holds(tx: Tx, viewer: Viewer, resource_type: str, uuid: str, shared: bool) -> bool:
    bound = {"sought": uuid} if viewer is None else {"sought": uuid, "viewer": viewer}
    return _sought(resource_type, viewer is None, shared).first(tx, bound) is not None


@cache
def _sought(resource_type: str, everything: bool, shared: bool) -> Prepared:
    table = tables.table(resource_type)
    (key,) = table.primary_key
    rule = _rule(None if everything else bindparam("viewer"), resource_type, table, shared)
    return Prepared(select(key).where(key == bindparam("sought"), rule))


def owner(tx: Tx, uuid: str) -> str | None:
    row = rows.find_one(tx, "AccountResourceRefVO", resource_uuid=uuid)
    return row["account_uuid"] if row else None


def give(tx: Tx, account: str, resource_type: str, uuid: str) -> None:
    """A new resource, with what belongs to it, is this account's. What an earlier one of that uuid left is forgotten."""
    forget(tx, uuid)
    if resource_type in _PARTS or resource_type in _OF_ACCOUNT:
        return
    rows.insert(tx, "AccountResourceRefVO", account_uuid=account, resource_uuid=uuid, resource_type=resource_type)
    if resource_type in _CHILDREN:
        child, column = _CHILDREN[resource_type]
        for row in rows.find(tx, child, **{column: uuid}):
            if owner(tx, row["uuid"]) is None:
                give(tx, account, child, row["uuid"])


def forget(tx: Tx, uuid: str) -> None:
    """The resource is gone: nobody owns it, nobody shares it."""
    rows.delete_where(tx, "AccountResourceRefVO", resource_uuid=uuid)
    rows.delete_where(tx, "SharedResourceVO", resource_uuid=uuid)


def kind(tx: Tx, uuid: str) -> str | None:
    """The type of a resource that has an owner."""
    row = rows.find_one(tx, "AccountResourceRefVO", resource_uuid=uuid)
    return row["resource_type"] if row else None


def viewer(tx: Tx, account: str | None) -> Viewer:
    """The account as a viewer: None for an administrator, and for the system itself."""
    if account is None or account == ADMIN_UUID:
        return None
    row = rows.get(tx, "AccountVO", account)
    return None if row and row["type"] == "SystemAdmin" else account
