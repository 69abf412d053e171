"""Networks and VMs as a caller sees them: a row and what hangs on it, ready for the wire."""

from typing import Any

from controlplane.contract.base import Inventory
from controlplane.contract.error import not_found
from controlplane.contract.ip_range import IpRangeInventory
from controlplane.contract.l2_network import L2NetworkInventory
from controlplane.contract.l3_network import L3NetworkInventory
from controlplane.contract.vm import VmInstanceInventory
from controlplane.store import rows
from controlplane.store.database import Tx
from controlplane.store.relations import fill

Shown = dict[str, Any]  # {"inventory": {…}}


def l2_network(tx: Tx, uuid: str) -> Shown:
    return _shown(tx, "L2NetworkVO", uuid, L2NetworkInventory)


def l3_network(tx: Tx, uuid: str) -> Shown:
    return _shown(tx, "L3NetworkVO", uuid, L3NetworkInventory)


def ip_range(tx: Tx, uuid: str) -> Shown:
    return _shown(tx, "IpRangeVO", uuid, IpRangeInventory)


def vm(tx: Tx, uuid: str) -> Shown:
    return _shown(tx, "VmInstanceVO", uuid, VmInstanceInventory)


def _shown(tx: Tx, resource: str, uuid: str, inventory: type[Inventory]) -> Shown:
    (row,) = fill(tx, resource, [must_get(tx, resource, uuid)])
    return {"inventory": inventory.model_validate(row).wire()}


def must_get(tx: Tx, resource: str, uuid: str) -> rows.Row:
    row = rows.get(tx, resource, uuid)
    if row is None:
        raise not_found(f"there is no {resource} {uuid} any more")
    return row


def listed(found: list[rows.Row], key: str = "uuid") -> str:
    """Up to five of them by name, for an error."""
    shown = ", ".join(f"{row.get('name') or row[key]} ({row[key]})" for row in found[:5])
    return shown + (f" and {len(found) - 5} more" if len(found) > 5 else "")
