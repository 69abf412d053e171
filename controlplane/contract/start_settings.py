"""The settings that a VM takes at its start, and which of them wait for a restart."""

from typing import ClassVar, Literal

from controlplane.contract.base import Api, Route, Uuid, Wire
from controlplane.contract.registry import api


class StartSettings(Wire):
    boot_order: list[str]
    cpu_mode: str
    console_mode: str
    instance_offering_uuid: str | None = None


class StartSettingsReply(Wire):
    """`running` is absent while the VM does not run. `bootOrder` is the explicit one, `nextBootOrder` what the very next
    boot follows. `restartRequired` names the settings that the running VM does not have yet."""

    running: StartSettings | None = None
    next: StartSettings
    boot_order: list[str] | None = None
    boot_order_once: list[str] | None = None
    next_boot_order: list[str]
    restart_required: list[str]


@api
class GetVmStartSettings(Api):
    """CPU mode, console mode, boot order and instance offering: what the running VM was started with, and what its next start gives."""

    kind: ClassVar[Literal["query", "read", "change"]] = "read"
    route = Route("GET", "/vm-instances/{uuid}/start-settings")
    package = "org.zstack.header.vm"
    admin_only: ClassVar[bool] = False
    result: ClassVar[type[Wire] | None] = StartSettingsReply
    result_key = None
    references = {"uuid": "VmInstanceVO"}
    uuid: Uuid
