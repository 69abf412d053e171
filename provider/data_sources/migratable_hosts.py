"""steppe_volume_migratable_hosts: where a volume may go, and for every other host of its zone why not."""

from provider.framework import validate
from provider.framework.plan import Object
from provider.framework.resource import Context
from provider.framework.schema import Nested, Schema, computed, required
from provider.framework.types import STRING

_HOST = Nested(
    "list",
    {
        "uuid": computed(STRING, "UUID of the host."),
        "name": computed(STRING, "Its name."),
        "management_ip": computed(STRING, "Address of its agent."),
    },
)
_EXCLUDED = Nested(
    "list",
    {
        "host_uuid": computed(STRING, "UUID of the host."),
        "name": computed(STRING, "Its name."),
        "reason": computed(STRING, "Why the volume cannot go there."),
    },
)


class MigratableHosts:
    type_name = "steppe_volume_migratable_hosts"
    schema = Schema(
        {
            "volume_uuid": required(STRING, "UUID of the volume.", validators=(validate.uuid,)),
            "hosts": computed(_HOST, "Hosts to which the volume may be moved, by name."),
            "excluded": computed(_EXCLUDED, "The other hosts of the zone; the host that holds it is among them."),
        },
        "The hosts to which a volume may be moved. Both lists are empty while the volume has no file.",
    )

    def read(self, context: Context, config: Object) -> Object:
        answer = context.client.get(f"/volumes/{config['volume_uuid']}/migration-target-hosts")
        hosts = [
            {"uuid": one["uuid"], "name": one["name"], "management_ip": one["managementIp"]}
            for one in answer["inventories"]
        ]
        excluded = [
            {"host_uuid": one["hostUuid"], "name": one["name"], "reason": one["reason"]} for one in answer["excluded"]
        ]
        return config | {"hosts": hosts, "excluded": excluded}
