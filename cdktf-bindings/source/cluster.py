"""Where VMs run: a cluster of KVM hosts with their local disks, made here or already there."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

from constructs import Construct

from ._attributes import Place, StackError
from .data_sources import DataCluster
from .resources import Cluster, Host, Image, ImageStore, InstanceOffering, LocalStorage, Zone

Format = Literal["qcow2", "raw", "iso"]
UNITS = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}


class ClusterLike(Protocol):
    """What networks and VMs need to know of a cluster."""

    @property
    def zone_uuid(self) -> str: ...
    @property
    def uuid(self) -> str: ...
    @property
    def ready(self) -> Sequence[Any]:
        """What must be there before a network is attached or a VM is made."""


class KvmCluster(Construct):
    """A zone with one cluster: its hosts, the directory for disks on each of them, and a store of images.

    The agents of the hosts have enrolled before. `hosts` are management addresses, or names with their addresses.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        hosts: Sequence[str] | Mapping[str, str],
        storage: str = "/var/lib/steppe/storage",
        images: str = "/images",
    ) -> None:
        super().__init__(scope, id)
        if isinstance(hosts, str) or not hosts:
            raise StackError(Place(self), f"hosts must be addresses, at least one, not {hosts!r}")
        named = hosts if isinstance(hosts, Mapping) else {f"host-{n}": ip for n, ip in enumerate(hosts, 1)}
        self.zone = Zone(self, "zone", name=id)
        self.cluster = Cluster(self, "cluster", name=id, zone_uuid=self.zone.uuid)
        self.host = {
            name: Host(self, name, name=name, management_ip=ip, cluster_uuid=self.cluster.uuid)
            for name, ip in named.items()
        }
        self.hosts = list(self.host.values())
        self.storage = LocalStorage(
            self, "storage", name=f"{id}-local", url=storage, zone_uuid=self.zone.uuid,
            cluster_uuids=[self.cluster.uuid], depends_on=self.hosts,
        )  # fmt: skip
        self.image_store = ImageStore(self, "images", name=f"{id}-images", url=images, zone_uuids=[self.zone.uuid])

    @property
    def zone_uuid(self) -> str:
        return self.zone.uuid

    @property
    def uuid(self) -> str:
        return self.cluster.uuid

    @property
    def ready(self) -> Sequence[Any]:
        return [self.storage]

    def image(self, id: str, *, url: str, format: Format = "qcow2", sha256: str | None = None) -> Image:
        """An image in the cluster's store."""
        check: dict[str, Any] = {"sha256": sha256}
        return Image(self, id, name=id, url=url, format=format, image_store_uuids=[self.image_store.uuid], **check)


class ExistingCluster(Construct):
    """A cluster that somebody has made, found by its name."""

    def __init__(self, scope: Construct, id: str, *, name: str) -> None:
        super().__init__(scope, id)
        self.cluster = DataCluster(self, "cluster", name=name)

    @property
    def zone_uuid(self) -> str:
        return self.cluster.zone_uuid

    @property
    def uuid(self) -> str:
        return self.cluster.uuid

    @property
    def ready(self) -> Sequence[Any]:
        return []


def instance_offering(scope: Construct, id: str, *, cpus: int, memory: str | int) -> InstanceOffering:
    """CPUs and memory of VMs; `memory` in bytes or as `2 GiB`."""
    return InstanceOffering(scope, id, name=id, cpu_num=cpus, memory_size=in_bytes(Place(scope, id), memory))


def in_bytes(path: Place, size: str | int) -> int:
    """`2 GiB` as a number of bytes."""
    if isinstance(size, int):
        return size
    found = re.fullmatch(r"(\d+) ?(B|KiB|MiB|GiB|TiB)", size)
    if found is None:
        raise StackError(path, f"{size!r} is not a size: a whole number and one of {', '.join(UNITS)}, e.g. 2 GiB")
    return int(found[1]) * UNITS[found[2]]
