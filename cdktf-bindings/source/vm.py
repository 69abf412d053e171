"""Virtual machines as one means them: an image on a network with user data, on a host if it matters."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

from constructs import Construct

from ._attributes import Identified, Place, StackError
from .cloud_config import HEAD, CloudConfig, as_yaml
from .cluster import in_bytes
from .network import FlatNetwork
from .resources import Image, Vm, VolumeSnapshotGroup

TEMPLATE = re.compile(r"([$%])\{(?!TfToken\[)")
UserData = CloudConfig | Mapping[str, Any] | str | Path


class VirtualMachine(Construct):
    """A VM. `more` are further attributes of `steppe_vm`, e.g. `hostname="web"`.

    `user_data`: a CloudConfig, a mapping (written as YAML), a text, or the path of a file. `ssh_keys`: public keys, or
    paths of files with them. `on`: the host to run on; a change moves the VM there, see `move_to`.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        image: Identified | str,
        offering: Identified | str,
        network: Identified | str | Sequence[Identified | str],
        user_data: UserData | None = None,
        ssh_keys: Sequence[str | Path] = (),
        on: Identified | str | None = None,
        **more: Any,
    ) -> None:
        super().__init__(scope, id)
        path = Place(self)
        attached = [network] if isinstance(network, str) or hasattr(network, "uuid") else list(network)
        attributes: dict[str, Any] = {
            "name": id,
            "image_uuid": uuid_of(path, "image", "an image", image),
            "instance_offering_uuid": uuid_of(path, "offering", "an instance offering", offering),
            "network_uuids": [uuid_of(path, "network", "a network", one) for one in attached],
            "depends_on": [*_before(attached), *more.pop("depends_on", [])],
        }
        if user_data is not None:
            attributes["user_data"] = text_of(path, user_data)
        if ssh_keys:
            attributes["ssh_keys"] = _keys(path, ssh_keys)
        if on is not None:
            attributes["host_uuid"] = uuid_of(path, "on", "a host", on)
        self.resource = Vm(self, "vm", **(attributes | more))

    @property
    def uuid(self) -> str:
        return self.resource.uuid

    @property
    def ip(self) -> str:
        """Address on the default network, known after apply."""
        return self.resource.ip

    def move_to(self, host: Identified | str, *, allow_restart: bool = True, migrate_running: bool = False) -> Self:
        """Let the next apply move the VM, its disks with it; a running one is stopped and started unless forbidden, or
        moved while it runs."""
        self.resource.host_uuid = uuid_of(Place(self), "move_to", "a host", host)
        self.resource.allow_restart = allow_restart
        self.resource.migrate_running = migrate_running
        return self

    def wait_for(self, mark: Literal["running", "dhcp", "metadata", "cloud_init"], timeout: str = "5m") -> Self:
        """Let an apply wait until the guest has come so far. For `cloud_init` the user data needs `phone_home`."""
        self.resource.wait_for, self.resource.wait_timeout = mark, timeout
        return self

    def snapshot(self, id: str, **more: Any) -> VolumeSnapshotGroup:
        """All its disks at one instant, while it runs or not."""
        return VolumeSnapshotGroup(self, id, name=id, root_volume_uuid=self.resource.root_volume_uuid, **more)

    def image(self, id: str, **more: Any) -> Image:
        """An image of its root disk as it is when this is applied first, while the VM runs or not."""
        taken = self.snapshot(f"{id}-snapshot")
        return Image(self, id, name=id, snapshot_uuid=taken.snapshots[0].uuid, **more)


class InstallFromIso(VirtualMachine):
    """A VM that boots `iso` first, to install itself on an empty disk; after its first restart it boots from that disk.

    `disk`: its size, in bytes or as `20 GiB`, or a disk offering.
    """

    def __init__(
        self, scope: Construct, id: str, *, iso: Identified | str, disk: Identified | str | int, **more: Any
    ) -> None:
        place = Place(scope, id)
        if isinstance(disk, int) or (isinstance(disk, str) and " " in disk):
            root: dict[str, Any] = {"root_disk_size": in_bytes(place, disk)}
        else:
            root = {"root_disk_offering_uuid": uuid_of(place, "disk", "a size, a disk offering", disk)}
        super().__init__(scope, id, image=iso, **(root | more))

    def eject(self) -> Self:
        """Let the next apply empty the drives: the installation is done."""
        self.resource.iso_uuids = []
        return self


def uuid_of(path: Place, argument: str, noun: str, thing: Identified | str) -> str:
    """The uuid of a resource, data source or construct; a uuid is one itself."""
    if isinstance(thing, str):
        return thing
    uuid = getattr(thing, "uuid", None)
    if not isinstance(uuid, str):
        raise StackError(path, f"{argument} must be {noun} or a uuid, not {thing!r}")
    return uuid


def text_of(path: Place, user_data: Any) -> str:
    """User data as text in which only the kit's references mean something to Terraform: a script's ${HOME} stays."""
    return TEMPLATE.sub(r"\1\1{", _text(path, user_data))


def _text(path: Place, user_data: Any) -> str:
    if isinstance(user_data, CloudConfig):
        complaints = list(user_data.complaints())
        if complaints:
            raise StackError(path, "user_data: " + "; ".join(complaints))
        return user_data.render()
    if isinstance(user_data, Mapping):
        return HEAD + as_yaml(dict(user_data))
    if isinstance(user_data, Path):
        return _read(path, "user_data", user_data)
    if isinstance(user_data, str):
        return user_data
    raise StackError(path, f"user_data must be a CloudConfig, a mapping, a text or a Path, not {user_data!r}")


def _keys(path: Place, keys: Sequence[str | Path]) -> list[str]:
    if isinstance(keys, str | Path):
        raise StackError(path, f"ssh_keys must be a list of keys, not {keys!r} (write [ ] around it)")
    return [_read(path, "ssh_keys", key).strip() if isinstance(key, Path) else key for key in keys]


def _read(path: Place, argument: str, file: Path) -> str:
    try:
        return file.expanduser().read_text()
    except (OSError, UnicodeError) as error:
        raise StackError(path, f"{argument}: {file} cannot be read: {error}") from error


def _before(attached: Sequence[Identified | str]) -> list[Any]:
    """What must be ready before the VM: the storage of the cluster that a network belongs to."""
    return [one for network in attached if isinstance(network, FlatNetwork) for one in network.cluster.ready]
