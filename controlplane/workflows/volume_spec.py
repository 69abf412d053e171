"""What a host is told of a volume that exists: the whole of it, JSON, so that a step can remember it."""

from typing import Any

from controlplane.store import rows
from controlplane.store.database import Tx
from controlplane.workflows.vm_spec import volume_path
from controlplane.workflows.world import World
from hostagent.contract import VolumeSpec

Json = dict[str, Any]


def volume_spec(tx: Tx, uuid: str) -> Json:
    """A `VolumeSpec` as the rows are. The caller has counted `generation` up."""
    volume = rows.get(tx, "VolumeVO", uuid)
    assert volume is not None
    spec = VolumeSpec(
        generation=volume["generation"],
        storage_uuid=volume["primary_storage_uuid"],
        path=volume_path(volume),
        size=volume["size"],
        vm_uuid=volume["vm_instance_uuid"],
    )
    return spec.model_dump(mode="json")


async def put_volume(world: World, host_uuid: str, uuid: str, spec: Json) -> Json:
    """What the host says of the volume then."""
    status = await world.hosts.get(host_uuid).put_volume(uuid, VolumeSpec.model_validate(spec))
    return status.model_dump(mode="json")
