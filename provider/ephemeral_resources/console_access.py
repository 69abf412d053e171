"""steppe_console_access: a one-time ticket for a VM's console. It ends by itself, used or not."""

from provider.framework import validate
from provider.framework.plan import Object
from provider.framework.resource import Context
from provider.framework.schema import Schema, computed, optional, required
from provider.framework.types import NUMBER, STRING

LIMIT = 60.0  # seconds


class ConsoleAccess:
    type_name = "steppe_console_access"
    schema = Schema(
        {
            "vm_uuid": required(STRING, "UUID of a running VM.", validators=(validate.uuid,)),
            "protocol": optional(
                STRING,
                "`vnc`, `spice` or `serial`. Left out, the first that the running VM has.",
                computed=True,
                validators=(validate.one_of("vnc", "spice", "serial"),),
            ),
            "url": computed(STRING, "A page that shows the console in a browser, once.", sensitive=True),
            "token": computed(
                STRING, "Opens one WebSocket at `/console/stream?token=` instead of the page.", sensitive=True
            ),
            "scheme": computed(STRING, "`http` or `https`: how the control plane is reached."),
            "hostname": computed(STRING, "Host of the control plane."),
            "port": computed(NUMBER, "Its port."),
            "expires": computed(STRING, "When the ticket ends if nobody uses it."),
        },
        "A ticket that opens the console of a VM once. It is in no state and in no plan (Terraform 1.10).",
    )

    def open(self, context: Context, config: Object) -> Object:
        parameters = {"vmInstanceUuid": config["vm_uuid"], "protocol": config["protocol"]}
        granted = context.client.create("RequestConsoleAccess", "/consoles", parameters, timeout=LIMIT)
        told = {name: granted[name] for name in ("protocol", "url", "token", "scheme", "hostname", "port")}
        return config | told | {"expires": granted["expiredDate"]}

    def close(self, context: Context) -> None:
        """Whoever got the ticket may still need it: it expires by itself."""
