"""An action that is one call to one thing, which an attribute names. What the plan finds wrong is not tried."""

from collections.abc import Callable
from typing import Any, ClassVar

from provider.client.control_plane import ControlPlane, Inventory
from provider.framework import validate
from provider.framework.diagnostics import Refused
from provider.framework.plan import Object
from provider.framework.resource import Context
from provider.framework.schema import Attr, Schema, optional
from provider.framework.types import STRING
from provider.resources.placement import spelled_size


def timeout(limit: str) -> dict[str, Attr]:
    return {
        "timeout": optional(
            STRING,
            f"How long it may take before it is cancelled and undone, e.g. `90s` or `1h30m`; {limit} when left out.",
            validators=(validate.duration,),
        )
    }


class Call:
    """Subclasses state the class attributes and override what is special."""

    type_name: str
    schema: Schema
    collection: ClassVar[str] = "vm-instances"
    noun: ClassVar[str] = "VM"
    target: ClassVar[str] = "vm_uuid"  # the attribute with the uuid
    action: ClassVar[str]  # "rebootVmInstance"
    doing: ClassVar[str]  # "Rebooting"
    limit: ClassVar[str] = "10m"

    def plan(self, context: Context, config: Object) -> None:
        self.check(context, config, self._found(context, config))

    def invoke(self, context: Context, config: Object, tell: Callable[[str], None]) -> None:
        client: ControlPlane = context.client
        found = self._found(context, config)
        tell(f"{self.doing} {self.noun} {found.get('name') or found['uuid']}")
        limit = validate.seconds(config["timeout"] or self.limit)
        with client.telling(lambda progress: tell(spelled_progress(progress))):
            self.run(client, config, found, limit)

    def check(self, context: Context, config: Object, found: Inventory) -> None:
        """Refuse what the control plane would refuse, where that can be known."""

    def run(self, client: ControlPlane, config: Object, found: Inventory, limit: float) -> None:
        client.action(f"/{self.collection}/{found['uuid']}", self.action, self.parameters(config), timeout=limit)

    def parameters(self, config: Object) -> dict[str, Any]:
        return {}

    def _found(self, context: Context, config: Object) -> Inventory:
        uuid = config[self.target]
        found: Inventory | None = context.client.find(self.collection, uuid)
        if found is None:
            raise Refused(f"Unknown {self.noun}", f"There is no {self.noun} with the uuid {uuid}.", (self.target,))
        return found


def spelled_progress(progress: dict[str, Any]) -> str:
    """`copying root: 1.0 GiB of 4.0 GiB, 30 s left`."""
    text = f"{progress.get('text') or 'working'}: {spelled_size(progress['done'])} of {spelled_size(progress['total'])}"
    left = progress.get("remaining")
    return text if left is None else f"{text}, {left} s left"
