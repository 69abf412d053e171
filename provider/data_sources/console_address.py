"""steppe_console_address: where a running VM's own VNC or SPICE port listens."""

from provider.framework import validate
from provider.framework.plan import Object
from provider.framework.resource import Context
from provider.framework.schema import Schema, computed, required
from provider.framework.types import NUMBER, STRING


class ConsoleAddress:
    type_name = "steppe_console_address"
    schema = Schema(
        {
            "vm_uuid": required(STRING, "UUID of a running VM.", validators=(validate.uuid,)),
            "host_ip": computed(STRING, "Management address of the host on which it runs."),
            "port": computed(NUMBER, "Port of its screen."),
            "protocol": computed(STRING, "`vnc` or `spice`, as it runs now."),
        },
        "The address of a running VM's screen on its host. Whether it can be reached from elsewhere is the global "
        "configuration kvm/vm.consoleListen; the ephemeral resource `steppe_console_access` opens it in any case.",
    )

    def read(self, context: Context, config: Object) -> Object:
        found = context.client.get(f"/vm-instances/{config['vm_uuid']}/console-addresses")
        return config | {"host_ip": found["hostIp"], "port": found["port"], "protocol": found["protocol"]}
