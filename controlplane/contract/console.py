"""Access to a VM's console: its screen (VNC or SPICE) and its serial line."""

from typing import ClassVar, Literal

from controlplane.contract.base import Api, Date, Inventory, Route, Uuid, Wire
from controlplane.contract.registry import api

ConsoleKind = Literal["vnc", "spice", "serial"]
_READ: Literal["query", "read", "change"] = "read"


class ConsoleInventory(Inventory):
    """`url` is a page for a browser. `token` opens one WebSocket at `/console/stream?token=` instead; either uses it up."""

    vm_instance_uuid: str
    protocol: str
    scheme: str
    hostname: str
    port: int
    token: str
    url: str
    expired_date: Date


class ScreenshotReply(Wire):
    """`image` is base64."""

    content_type: str
    image: str


class ConsolePasswordReply(Wire):
    console_password: str


@api
class RequestConsoleAccess(Api):
    """A token that opens the VM's console once and soon expires. Without `protocol` it is the first the running VM has."""

    kind = _READ
    route = Route("POST", "/consoles")
    package = "org.zstack.header.console"
    answer: ClassVar[str | None] = "APIRequestConsoleAccessEvent"
    admin_only: ClassVar[bool] = False
    changes = {"vm_instance_uuid": "VmInstanceVO"}
    result = ConsoleInventory
    references = {"vm_instance_uuid": "VmInstanceVO"}
    vm_instance_uuid: Uuid
    protocol: ConsoleKind | None = None


class _OfVm(Api):
    kind = _READ
    package = "org.zstack.header.vm"
    admin_only: ClassVar[bool] = False
    result_key: ClassVar[str | None] = None
    references = {"uuid": "VmInstanceVO"}
    uuid: Uuid


@api
class GetVmScreenshot(_OfVm):
    """What the screen of a running VM shows now, as PNG."""

    route = Route("GET", "/vm-instances/{uuid}/screenshots")
    result = ScreenshotReply


@api
class GetVmConsolePassword(_OfVm):
    """What the VM's own VNC or SPICE port asks for: for clients that connect to it directly (GetVmConsoleAddress) where
    kvm/vm.consoleListen allows that."""

    route = Route("GET", "/vm-instances/{uuid}/console-passwords")
    result = ConsolePasswordReply
