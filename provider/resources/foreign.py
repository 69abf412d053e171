"""What Terraform did not create is not deleted with what it did: snapshots and data volumes that others made."""

from provider.client.control_plane import ControlPlane, Inventory
from provider.framework.diagnostics import Refused


def must_have_no_snapshots(client: ControlPlane, what: str, volume_uuids: list[str]) -> None:
    """Terraform's own snapshots of a volume depend on it, so they are gone before it. Raises Refused for others."""
    others = [one for uuid in volume_uuids for one in client.query("volume-snapshots", volumeUuid=uuid)]
    if others:
        names = ", ".join(f"{one['name']} ({one['uuid']})" for one in others)
        raise Refused(
            f"{what} has snapshots that Terraform did not take",
            f"They would be deleted for good with it: {names}. Delete them first (DeleteVolumeSnapshot), or set "
            "expunge = false and apply that: then all of it can be recovered for a while.",
        )


def release_data_volumes(client: ControlPlane, vm: Inventory, limit: float) -> None:
    """The VM, which is about to be destroyed, keeps no data volume: what still is attached is somebody else's."""
    attached = [one for one in vm.get("allVolumes", []) if one["type"] == "Data"]
    if attached and vm["state"] in ("Running", "Unknown"):
        client.action(f"/vm-instances/{vm['uuid']}", "stopVmInstance", {}, timeout=limit)
    for volume in attached:
        path = f"/volumes/{volume['uuid']}/vm-instances?vmUuid={vm['uuid']}"
        client.delete("DetachDataVolumeFromVm", path, timeout=limit)
