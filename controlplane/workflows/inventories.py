"""Networks and VMs as a caller sees them: a row and what hangs on it, ready for the wire."""

from typing import Any

from controlplane.contract.error import not_found
from controlplane.contract.ip_range import IpRangeInventory
from controlplane.contract.l2_network import L2NetworkInventory
from controlplane.contract.l3_network import L3NetworkInventory
from controlplane.contract.vm import VmInstanceInventory
from controlplane.store import rows
from controlplane.store.database import Tx

Shown = dict[str, Any]  # {"inventory": {…}}


def l2_network(tx: Tx, uuid: str) -> Shown:
    clusters = [ref["cluster_uuid"] for ref in rows.find(tx, "L2NetworkClusterRefVO", l2_network_uuid=uuid)]
    row = must_get(tx, "L2NetworkVO", uuid) | {"attached_cluster_uuids": clusters}
    return {"inventory": L2NetworkInventory.model_validate(row).wire()}


def l3_network(tx: Tx, uuid: str) -> Shown:
    row = must_get(tx, "L3NetworkVO", uuid)
    row["dns"] = [ref["dns"] for ref in rows.find(tx, "L3NetworkDnsVO", l3_network_uuid=uuid, order_by=("id",))]
    row["ip_ranges"] = rows.find(tx, "IpRangeVO", l3_network_uuid=uuid, order_by=("create_date",))
    row["network_services"] = rows.find(tx, "NetworkServiceL3NetworkRefVO", l3_network_uuid=uuid, order_by=("id",))
    return {"inventory": L3NetworkInventory.model_validate(row).wire()}


def ip_range(tx: Tx, uuid: str) -> Shown:
    return {"inventory": IpRangeInventory.model_validate(must_get(tx, "IpRangeVO", uuid)).wire()}


def vm(tx: Tx, uuid: str) -> Shown:
    row = must_get(tx, "VmInstanceVO", uuid)
    row["vm_nics"] = rows.find(tx, "VmNicVO", vm_instance_uuid=uuid, order_by=("device_id",))
    row["all_volumes"] = rows.find(tx, "VolumeVO", vm_instance_uuid=uuid, order_by=("device_id",))
    return {"inventory": VmInstanceInventory.model_validate(row).wire()}


def must_get(tx: Tx, resource: str, uuid: str) -> rows.Row:
    row = rows.get(tx, resource, uuid)
    if row is None:
        raise not_found(f"there is no {resource} {uuid} any more")
    return row


def listed(found: list[rows.Row], key: str = "uuid") -> str:
    """Up to five of them by name, for an error."""
    shown = ", ".join(f"{row.get('name') or row[key]} ({row[key]})" for row in found[:5])
    return shown + (f" and {len(found) - 5} more" if len(found) > 5 else "")
