"""steppe_host_reconnect."""

from provider.actions.call import Call, timeout
from provider.framework import validate
from provider.framework.schema import Schema, required
from provider.framework.types import STRING


class HostReconnect(Call):
    type_name = "steppe_host_reconnect"
    collection = "hosts"
    noun = "host"
    target = "host_uuid"
    action = "reconnectHost"
    doing = "Reconnecting"
    schema = Schema(
        {"host_uuid": required(STRING, "UUID of the host.", validators=(validate.uuid,))} | timeout("10m"),
        "Connects a host anew: its agent is asked for everything that it has.",
    )
