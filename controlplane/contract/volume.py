"""A volume: the disk of a VM; `installPath` is where its file lies on the host that holds it."""

from controlplane.contract.base import Date, Named, Query, Route
from controlplane.contract.registry import api

_PACKAGE = "org.zstack.header.volume"


class VolumeInventory(Named):
    primary_storage_uuid: str | None = None
    vm_instance_uuid: str | None = None
    disk_offering_uuid: str | None = None
    root_image_uuid: str | None = None
    install_path: str | None = None
    type: str
    format: str
    size: int
    actual_size: int | None = None
    device_id: int | None = None
    state: str
    status: str
    last_detach_date: Date | None = None


@api
class QueryVolume(Query):
    route = Route("GET", "/volumes")
    package = _PACKAGE
    result = VolumeInventory
    resource = "VolumeVO"
