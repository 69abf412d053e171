"""steppe_vm_rerun_cloud_init."""

from provider.actions.call import Call, timeout
from provider.client.control_plane import ControlPlane, Inventory
from provider.framework import validate
from provider.framework.plan import Object
from provider.framework.schema import Schema, optional, required
from provider.framework.types import BOOL, STRING


class VmRerunCloudInit(Call):
    type_name = "steppe_vm_rerun_cloud_init"
    action = "rerunCloudInit"
    doing = "Having cloud-init run again in"
    schema = Schema(
        {
            "vm_uuid": required(STRING, "UUID of the VM.", validators=(validate.uuid,)),
            "reboot": optional(BOOL, "Whether a running VM is rebooted for it now; false when left out."),
        }
        | timeout("10m"),
        "At the next boot of the VM cloud-init runs again, as on a new machine: it gets a new instance id. Nothing in the "
        "guest is deleted by hand.",
    )

    def run(self, client: ControlPlane, config: Object, found: Inventory, limit: float) -> None:
        super().run(client, config, found, limit)
        if config["reboot"] and found["state"] == "Running":
            client.action(f"/vm-instances/{found['uuid']}", "rebootVmInstance", {}, timeout=limit)
