"""The settings that a VM takes at its start, and which of them wait for a restart."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

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


class VmStartSettings(StartSettingsReply):
    vm_instance_uuid: str


@api
class ListVmStartSettings(Api):
    """The same of many VMs at once: of those that are named, as far as they exist, or of all in the order of creation."""

    kind: ClassVar[Literal["query", "read", "change"]] = "read"
    route = Route("GET", "/vm-instances/start-settings")
    package = "org.zstack.header.vm"
    admin_only: ClassVar[bool] = False
    result: ClassVar[type[Wire] | None] = VmStartSettings
    result_key = "inventories"
    vm_instance_uuids: Annotated[list[Uuid], Field(max_length=1000)] | None = None
    limit: Annotated[int, Field(ge=0, le=10_000)] = 1000
    start: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    reply_with_count: bool = False
