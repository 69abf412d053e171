"""Whose state a `moved` block may hand over: resources of providers that speak of the same thing by the same uuid.

The provider of ZStack works with this control plane, so its resources are the same ones. A libvirt domain that is a VM of
the cloud has the VM's uuid; a libvirt volume that is one of the cloud's lies where the cloud put it.
"""

import re
from collections.abc import Callable, Mapping

from provider.framework.plan import Object

Finder = Callable[[Object], str | None]
_UUID = re.compile(r"[0-9a-f]{8}(-?)[0-9a-f]{4}\1[0-9a-f]{4}\1[0-9a-f]{4}\1[0-9a-f]{12}")
_FILE = re.compile(r".*/dataVolumes/(?:.*/)?([0-9a-f]{32})\.qcow2")


def zstack(*types: str) -> Mapping[str, Finder]:
    """Resources of that provider, e.g. `"zone"`, that have the uuid of ours."""
    return dict.fromkeys((f"zstack_{one}" for one in types), _uuid("uuid"))


def libvirt_domain() -> Mapping[str, Finder]:
    """Its versions before 0.9 have the domain's uuid as `id`."""
    return {"libvirt_domain": _uuid("uuid", "id")}


def libvirt_volume() -> Mapping[str, Finder]:
    def of_file(state: Object) -> str | None:
        for name in ("path", "key", "id"):
            found = _FILE.fullmatch(str(state.get(name)))
            if found:
                return found.group(1)
        return None

    return {"libvirt_volume": of_file}


def _uuid(*attributes: str) -> Finder:
    def of(state: Object) -> str | None:
        values = [str(state.get(name)).lower() for name in attributes]
        return next((value.replace("-", "") for value in values if _UUID.fullmatch(value)), None)

    return of
