"""steppe_console_password: what a VM's own VNC or SPICE port asks for."""

from provider.framework import validate
from provider.framework.plan import Object
from provider.framework.resource import Context
from provider.framework.schema import Schema, computed, required
from provider.framework.types import STRING


class ConsolePassword:
    """`GetVmConsolePassword`."""

    type_name = "steppe_console_password"
    schema = Schema(
        {
            "vm_uuid": required(STRING, "UUID of the VM.", validators=(validate.uuid,)),
            "password": computed(STRING, "The password.", sensitive=True),
        },
        "The password of a VM's own VNC or SPICE port, which the data source `steppe_console_address` tells. It is in no "
        "state and in no plan (Terraform 1.10).",
    )

    def open(self, context: Context, config: Object) -> Object:
        found = context.client.get(f"/vm-instances/{config['vm_uuid']}/console-passwords")
        return config | {"password": found["consolePassword"]}

    def close(self, context: Context) -> None:
        """It stays the VM's."""
