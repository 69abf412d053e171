"""steppe_vm_reboot."""

from provider.actions.call import Call, timeout
from provider.client.control_plane import Inventory
from provider.framework import validate
from provider.framework.diagnostics import Refused
from provider.framework.plan import Object
from provider.framework.resource import Context
from provider.framework.schema import Schema, required
from provider.framework.types import STRING


class VmReboot(Call):
    type_name = "steppe_vm_reboot"
    action = "rebootVmInstance"
    doing = "Rebooting"
    schema = Schema(
        {"vm_uuid": required(STRING, "UUID of a running VM.", validators=(validate.uuid,))} | timeout("10m"),
        "Reboots a running VM. What waits for its next start, as `restart_required` says, is taken.",
    )

    def check(self, context: Context, config: Object, found: Inventory) -> None:
        if found["state"] != "Running":
            raise Refused("The VM does not run", f"VM {found['name']} is {found['state']}.", ("vm_uuid",))
