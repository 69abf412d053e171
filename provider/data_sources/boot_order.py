"""steppe_vm_boot_order: what a VM's boots follow, by `GetVmBootOrder`."""

from provider.framework import validate
from provider.framework.plan import Object
from provider.framework.resource import Context
from provider.framework.schema import Schema, computed, required
from provider.framework.types import STRING, list_of


class BootOrder:
    type_name = "steppe_vm_boot_order"
    schema = Schema(
        {
            "vm_uuid": required(STRING, "UUID of the VM.", validators=(validate.uuid,)),
            "boot_order": computed(
                list_of(STRING),
                "The order that holds for its next boots, of `HardDisk`, `CdRom` and `Network`; of a VM made from an ISO "
                "that is first, until the first reboot.",
            ),
            "boot_order_once": computed(list_of(STRING), "An order that waits for the next boot only; null for none."),
        },
        "The boot order of a VM, whoever set it.",
    )

    def read(self, context: Context, config: Object) -> Object:
        found = context.client.get(f"/vm-instances/{config['vm_uuid']}/boot-orders")
        return config | {"boot_order": found["orders"], "boot_order_once": found.get("bootOrderOnce")}
