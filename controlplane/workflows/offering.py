"""What the offering APIs do. VMs and volumes keep the sizes they were made with: an offering may go before them."""

from controlplane.contract.offering import (
    ChangeDiskOfferingState,
    ChangeInstanceOfferingState,
    CreateDiskOffering,
    CreateInstanceOffering,
    DeleteDiskOffering,
    DeleteInstanceOffering,
    DiskOfferingInventory,
    InstanceOfferingInventory,
    UpdateDiskOffering,
    UpdateInstanceOffering,
)
from controlplane.workflows.plain import Plain

instance_offering = Plain(
    "InstanceOfferingVO",
    InstanceOfferingInventory,
    remembered_by=(("VmInstanceVO", "instance_offering_uuid"),),
)
instance_offering.creates(CreateInstanceOffering)
instance_offering.updates(UpdateInstanceOffering)
instance_offering.changes_state(ChangeInstanceOfferingState)
instance_offering.deletes(DeleteInstanceOffering)

disk_offering = Plain("DiskOfferingVO", DiskOfferingInventory, remembered_by=(("VolumeVO", "disk_offering_uuid"),))
disk_offering.creates(CreateDiskOffering, renamed={"allocation_strategy": "allocator_strategy"})
disk_offering.updates(UpdateDiskOffering)
disk_offering.changes_state(ChangeDiskOfferingState)
disk_offering.deletes(DeleteDiskOffering)
