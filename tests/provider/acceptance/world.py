"""Everything that a cloud holds, by the control plane's and by its hosts' own words: to be the same after as before."""

from typing import Any

from provider.resources import ALL
from tests.provider.cloud import Cloud

COLLECTIONS = sorted({one.collection for one in ALL} | {"vm-instances/nics", "l3-networks/ip-ranges"})
VOLATILE = ("lastOpDate",)


def world(cloud: Cloud) -> dict[str, list[Any]]:
    found = {name: _stable(cloud.client.query(name)) for name in COLLECTIONS}
    found |= {"system-tags": [one for one in found["system-tags"] if not one.get("inherent")]}
    found["global-configurations"] = _stable(cloud.client.query("global-configurations"))
    found["VMs on hosts"] = cloud.on_hosts("/v1/vms")
    return found


def _stable(inventories: list[dict[str, Any]]) -> list[Any]:
    kept = [{name: value for name, value in one.items() if name not in VOLATILE} for one in inventories]
    return sorted(kept, key=str)
