"""steppe_vm_migrate: another host, now. Who wants a VM to stay there says so with `host_uuid` of its `steppe_vm`."""

from provider.actions.call import Call, timeout
from provider.client.control_plane import ControlPlane, Inventory
from provider.framework import validate
from provider.framework.plan import Object
from provider.framework.resource import Context
from provider.framework.schema import Schema, required
from provider.framework.types import STRING

CHECK = 60.0  # seconds for the control plane's plan of the move


class VmMigrate(Call):
    type_name = "steppe_vm_migrate"
    doing = "Moving"
    limit = "6h"
    schema = Schema(
        {
            "vm_uuid": required(STRING, "UUID of the VM.", validators=(validate.uuid,)),
            "host_uuid": required(STRING, "UUID of the host to which it goes.", validators=(validate.uuid,)),
        }
        | timeout("6h"),
        "Moves a VM with its disks to another host. One that runs is moved while it runs, where the cloud allows that; one "
        "that is stopped is copied. Of a VM whose `steppe_vm` wishes another `host_uuid`, the next apply moves it back.",
    )

    def check(self, context: Context, config: Object, found: Inventory) -> None:
        _move(context.client, config, found, CHECK, dry=True)

    def run(self, client: ControlPlane, config: Object, found: Inventory, limit: float) -> None:
        _move(client, config, found, limit, dry=False)


def _move(client: ControlPlane, config: Object, found: Inventory, limit: float, *, dry: bool) -> None:
    live = found["state"] == "Running"
    action, parameter = ("migrateVm", "hostUuid") if live else ("localStorageMigrateVm", "destHostUuid")
    parameters = {parameter: config["host_uuid"]} | ({"dryRun": True} if dry else {})
    client.action(f"/vm-instances/{found['uuid']}", action, parameters, timeout=limit)
