"""Whose state a `moved` block may hand over: resources of providers that speak of the same thing by the same uuid.

The provider of ZStack works with this control plane, so its resources are the same ones. A libvirt domain that is a VM of
the cloud has the VM's uuid; a libvirt volume that is one of the cloud's lies where the cloud put it.
"""

import re
from collections.abc import Mapping

from provider.framework.plan import Object
from provider.framework.resource import Finder

_UUID = re.compile(r"[0-9a-f]{8}(-?)[0-9a-f]{4}\1[0-9a-f]{4}\1[0-9a-f]{4}\1[0-9a-f]{12}")
_FILE = re.compile(r".*/dataVolumes/(?:.*/)?([0-9a-f]{32})\.qcow2")


def _uuid(*attributes: str) -> Finder:
    def of(state: Object) -> str | None:
        values = [str(state.get(name)).lower() for name in attributes]
        return next((value.replace("-", "") for value in values if _UUID.fullmatch(value)), None)

    return of


def _of_file(state: Object) -> str | None:
    found = (_FILE.fullmatch(str(state.get(name))) for name in ("path", "key", "id"))
    return next((one.group(1) for one in found if one), None)


def _entry(state: Object) -> str | None:
    return f"{state.get('category')}/{state.get('name')}"


def _zstack(*types: str) -> dict[str, Finder]:
    return dict.fromkeys((f"zstack_{one}" for one in types), _uuid("uuid"))


MOVES: dict[str, Mapping[str, Finder]] = {
    "steppe_zone": _zstack("zone"),
    "steppe_cluster": _zstack("cluster"),
    "steppe_host": _zstack("host"),
    "steppe_local_storage": _zstack("primary_storage"),
    "steppe_image_store": _zstack("backup_storage", "image_store_backup_storage"),
    "steppe_image": _zstack("image"),
    "steppe_instance_offering": _zstack("instance_offering", "instance_offer"),
    "steppe_disk_offering": _zstack("disk_offering", "disk_offer"),
    "steppe_l2_network": _zstack("l2vlan_network"),
    "steppe_network": _zstack("l3network"),
    # Before version 0.9 a libvirt_domain had its uuid as `id`.
    "steppe_vm": _zstack("instance") | {"libvirt_domain": _uuid("uuid", "id")},
    "steppe_volume": _zstack("volume") | {"libvirt_volume": _of_file},
    "steppe_volume_snapshot": _zstack("volume_snapshot"),
    "steppe_global_config": {"zstack_global_config": _entry},
}
