"""Data volumes: disks that outlive the VMs they are attached to."""

from typing import Any, Self

from constructs import Construct

from ._attributes import Identified, Place, StackError
from .cluster import in_bytes
from .resources import Volume, VolumeAttachment
from .vm import VirtualMachine, uuid_of


class DataVolume(Construct):
    """A data volume. `size` in bytes or as `20 GiB`; `more` are further attributes of `steppe_volume`.

    With `on` it has its file on that host and the `storage` there from the beginning; without, it gets one where the VM is
    that it is first attached to.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        size: int | str | None = None,
        on: Identified | str | None = None,
        storage: Identified | str | None = None,
        **more: Any,
    ) -> None:
        super().__init__(scope, id)
        place = Place(self)
        attributes: dict[str, Any] = {"name": id}
        if size is not None:
            attributes["size"] = in_bytes(place, size)
        if on is not None:
            attributes["host_uuid"] = uuid_of(place, "on", "a host", on)
        if storage is not None:
            attributes["primary_storage_uuid"] = uuid_of(place, "storage", "a local storage", storage)
        self.resource = Volume(self, "volume", **(attributes | more))
        self.attachment: VolumeAttachment | None = None

    @property
    def uuid(self) -> str:
        return self.resource.uuid

    @property
    def device_path(self) -> str:
        """Where a Linux guest finds the disk, known after apply."""
        return self.resource.device_path

    def attach_to(self, vm: VirtualMachine | Identified | str) -> Self:
        """Give it to a VM, a running one too; a volume has one VM at most."""
        place = Place(self)
        if self.attachment is not None:
            raise StackError(place, "attach_to: the volume is attached already, and to one VM at a time")
        vm_uuid = uuid_of(place, "attach_to", "a VM", vm)
        self.attachment = VolumeAttachment(self, "attachment", volume_uuid=self.uuid, vm_uuid=vm_uuid)
        return self

    def move_to(self, host: Identified | str) -> Self:
        """Let the next apply move a detached volume, with its snapshots; an attached one moves with its VM."""
        self.resource.host_uuid = uuid_of(Place(self), "move_to", "a host", host)
        return self
