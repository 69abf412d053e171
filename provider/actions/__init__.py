"""Actions (Terraform 1.14): what is done to something at a moment. One file each."""

from provider.actions.call import Call
from provider.actions.host_reconnect import HostReconnect
from provider.actions.vm_migrate import VmMigrate
from provider.actions.vm_reboot import VmReboot
from provider.actions.vm_rerun_cloud_init import VmRerunCloudInit
from provider.actions.volume_revert import VolumeRevert
from provider.actions.volume_take_snapshot import VolumeTakeSnapshot

ALL: tuple[Call, ...] = (
    VmReboot(),
    VmRerunCloudInit(),
    VmMigrate(),
    VolumeTakeSnapshot(),
    VolumeRevert(),
    HostReconnect(),
)

__all__ = ["ALL"]
