"""What a host is told of a volume that exists: the whole of it, JSON, so that a step can remember it."""

from typing import Any

from controlplane.store import rows
from controlplane.store.database import Tx
from controlplane.workflows.vm_spec import volume_path
from controlplane.workflows.volume_rows import chain
from controlplane.workflows.world import World
from hostagent.contract import VolumeSpec, VolumesSpec

Json = dict[str, Any]


def volume_spec(tx: Tx, uuid: str) -> Json:
    """A `VolumeSpec` as the rows are; `generation` is that of the last wish."""
    volume = rows.get(tx, "VolumeVO", uuid)
    assert volume is not None
    spec = VolumeSpec(
        generation=volume["generation"],
        storage_uuid=volume["primary_storage_uuid"],
        path=volume_path(volume),
        size=volume["size"],
        below=chain(tx, uuid),
        vm_uuid=volume["vm_instance_uuid"],
    )
    return spec.model_dump(mode="json")


async def put_volume(world: World, host_uuid: str, uuid: str, spec: Json) -> Json:
    """What the host says of the volume then."""
    status = await world.hosts.get(host_uuid).put_volume(uuid, VolumeSpec.model_validate(spec))
    return status.model_dump(mode="json")


async def put_volumes(world: World, host_uuid: str, specs: dict[str, Json]) -> list[Json]:
    """The same for several volumes of one VM at once, by uuid."""
    vm_uuid = next(iter(specs.values()))["vm_uuid"]
    wish = VolumesSpec.model_validate({"vm_uuid": vm_uuid, "volumes": specs})
    return [status.model_dump(mode="json") for status in await world.hosts.get(host_uuid).put_volumes(wish)]
