"""steppe_system_tag and steppe_user_tag: one tag of any resource.

A VM's user data, keys and host name have attributes of their own: say a thing there or here, never in both.
"""

from provider.client import pending
from provider.client.control_plane import ControlPlane, Inventory
from provider.framework import validate
from provider.framework.diagnostics import Refused
from provider.framework.plan import Object
from provider.framework.resource import Context
from provider.framework.schema import Attr, Schema, computed, required
from provider.framework.types import STRING
from provider.resources.base import Table, reference, timeouts

RESOURCE_TYPES = (
    "ZoneVO", "ClusterVO", "HostVO", "PrimaryStorageVO", "BackupStorageVO", "ImageVO", "InstanceOfferingVO",
    "DiskOfferingVO", "L2NetworkVO", "L3NetworkVO", "IpRangeVO", "VmInstanceVO", "VmNicVO", "VolumeVO",
)  # fmt: skip
LONGEST = 65536  # bytes


def _fits(text: str) -> str | None:
    size = len(text.encode())
    return None if 1 <= size <= LONGEST else f"The tag has {size} bytes; 1 to {LONGEST} are allowed."


def _attributes(tag: Attr) -> dict[str, Attr]:
    return {
        "uuid": computed(STRING, "UUID of the tag: 32 hexadecimal digits. Use it to import."),
        "resource_uuid": reference("the resource that has the tag"),
        "resource_type": required(
            STRING,
            f"What the resource is: {', '.join(f'`{one}`' for one in RESOURCE_TYPES)}.",
            replace=True,
            validators=(validate.one_of(*RESOURCE_TYPES),),
        ),
        "tag": tag,
    } | timeouts()


class _Tag(Table):
    """The control plane chooses a tag's uuid; the job's id alone makes its creation repeatable."""

    delete_api = "DeleteTag"
    creates_with = ("resource_uuid", "resource_type", "tag")
    named = ()

    def make(self, context: Context, planned: Object) -> str:
        client: ControlPlane = context.client
        call, path = self.create_api
        parameters = {self.field(name): planned[name] for name in self.creates_with}
        wanted, notes = [client.endpoint, self.type_name, parameters], pending.here()
        note = notes.abandoned(wanted) or notes.begin(wanted)
        with notes.while_made(note):
            made, existed = client.create_tag(call, path, parameters, note.job, self.limit("create", planned))
            if existed:  # it is somebody else's
                detail = f"The resource has it already ({made['uuid']}): import it, or state it in one place only."
                raise Refused("The tag exists", detail, ("tag",))
        return str(made["uuid"])

    def stands_alone(self, inventory: Inventory) -> bool:
        """What the control plane notes by itself stays out of configurations."""
        return not inventory.get("inherent")

    def delete(self, context: Context, state: Object) -> None:
        context.client.delete(self.delete_api, f"/tags/{state['uuid']}", timeout=self.limit("delete", state))


class SystemTag(_Tag):
    type_name = "steppe_system_tag"
    collection = "system-tags"
    create_api = ("CreateSystemTag", "/system-tags")
    update_action = "updateSystemTag"
    updates = ("tag",)
    schema = Schema(
        _attributes(
            required(
                STRING,
                "The text, `name::value`, e.g. `sshkey::ssh-ed25519 …`; the control plane knows which names a resource "
                "may have. The value is changed in place.",
                validators=(_fits, validate.matches(r"[A-Za-z]\w*::(.|\n)*", "a system tag `name::value`")),
            )
        ),
        "A system tag: an instruction to the control plane about one resource.",
    )


class UserTag(_Tag):
    type_name = "steppe_user_tag"
    collection = "user-tags"
    create_api = ("CreateUserTag", "/user-tags")
    schema = Schema(
        _attributes(required(STRING, "Any text; a note.", replace=True, validators=(_fits,))),
        "A user tag: a note on one resource, by which it can be found.",
    )
