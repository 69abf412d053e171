"""What the files of a host's volumes take, told by the host itself and taken over into `VolumeVO.actual_size`.

It is a fact of a moment ago: no capacity is decided by it (a volume claims its virtual size), and nobody waits for it.
"""

from functools import partial

from controlplane.store import rows
from controlplane.store.database import Tx
from controlplane.workflows.vm_spec import volume_path
from controlplane.workflows.world import World


async def measure(world: World, host_uuid: str) -> None:
    parts = await world.db.read(lambda tx: rows.find(tx, "LocalStorageHostRefVO", host_uuid=host_uuid))
    for storage in (part["primary_storage_uuid"] for part in parts):
        usage = await world.hosts.get(host_uuid).storage_usage(storage)
        await world.db.write(partial(_record, host=host_uuid, storage=storage, allocated=usage.allocated))


def _record(tx: Tx, host: str, storage: str, allocated: dict[str, int]) -> None:
    where = {"host_uuid": host, "primary_storage_uuid": storage, "resource_type": "VolumeVO"}
    uuids = [ref["resource_uuid"] for ref in rows.find(tx, "LocalStorageResourceRefVO", **where)]
    for volume in rows.find(tx, "VolumeVO", uuid=uuids) if uuids else ():
        size = allocated.get(volume_path(volume)) if volume["install_path"] else None
        if size not in (None, volume["actual_size"]):
            kept = {"last_op_date": volume["last_op_date"]}  # nobody did anything to the volume
            rows.update(tx, "VolumeVO", volume["uuid"], actual_size=size, **kept)
