"""steppe_query: any query of the control plane, answered as JSON."""

import json
from typing import Any
from urllib.parse import urlencode

from provider.data_sources.inventories import conditions
from provider.framework import validate
from provider.framework.plan import Object
from provider.framework.resource import Context
from provider.framework.schema import Schema, computed, optional, required
from provider.framework.types import BOOL, NUMBER, STRING, list_of

COLLECTIONS = {
    "AccessKey": "accesskeys",
    "Account": "accounts",
    "AccountResourceRef": "accounts/resources/refs",
    "BackupStorage": "backup-storage",
    "Cluster": "clusters",
    "DiskOffering": "disk-offerings",
    "GlobalConfig": "global-configurations",
    "Host": "hosts",
    "Image": "images",
    "InstanceOffering": "instance-offerings",
    "IpRange": "l3-networks/ip-ranges",
    "L2Network": "l2-networks",
    "L3Network": "l3-networks",
    "LocalStorageResourceRef": "primary-storage/local-storage/resource-refs",
    "NetworkServiceL3NetworkRef": "l3-networks/network-services/refs",
    "NetworkServiceProvider": "network-services/providers",
    "PrimaryStorage": "primary-storage",
    "Quota": "accounts/quotas",
    "SharedResource": "accounts/resources",
    "SystemTag": "system-tags",
    "UserTag": "user-tags",
    "VmInstance": "vm-instances",
    "VmNic": "vm-instances/nics",
    "Volume": "volumes",
    "VolumeSnapshot": "volume-snapshots",
    "VolumeSnapshotGroup": "volume-snapshots/group",
    "VolumeSnapshotTree": "volume-snapshots/trees",
    "Zone": "zones",
}


def _noun(resource: str) -> str:
    """`QueryVmInstance`, `VmInstanceVO` and `VmInstance` are one."""
    return resource.removeprefix("Query").removesuffix("VO")


def _known(resource: str) -> str | None:
    if _noun(resource) in COLLECTIONS:
        return None
    return f"{resource!r} cannot be queried; there are {', '.join(sorted(COLLECTIONS))}."


class Query:
    type_name = "steppe_query"
    schema = Schema(
        {
            "resource": required(
                STRING, "What to query: `VmInstance`, or `QueryVmInstance`, or `VmInstanceVO`.", validators=(_known,)
            ),
            "conditions": conditions(),
            "fields": optional(
                list_of(STRING), "Fields to answer, e.g. `uuid`; all when left out.", validators=(validate.filled,)
            ),
            "sort": optional(STRING, "Field to sort by, `-` before it for descending order, e.g. `-createDate`."),
            "limit": optional(
                NUMBER, "At most so many; 1000 when left out.", validators=(validate.between(0, 100_000),)
            ),
            "start": optional(NUMBER, "Leave out so many.", validators=(validate.between(0, 2**31),)),
            "count_only": optional(BOOL, "Answer `total` and no inventories (`count` is Terraform's own word)."),
            "json": computed(STRING, "The inventories as JSON: `jsondecode(…)`."),
            "uuids": computed(list_of(STRING), "Their uuids, where the answer has them."),
            "total": computed(NUMBER, "How many fulfil the conditions, whatever `limit` says."),
        },
        "Any query of the control plane.",
    )

    def read(self, context: Context, config: Object) -> Object:
        wanted: list[tuple[str, Any]] = [("q", one) for one in config["conditions"] or []]
        wanted += [("fields", ",".join(config["fields"]))] if config["fields"] else []
        wanted += [(name, config[name]) for name in ("sort", "limit", "start") if config[name] is not None]
        wanted.append(("count" if config["count_only"] else "replyWithCount", "true"))
        answer = context.client.get(f"/{COLLECTIONS[_noun(config['resource'])]}?{urlencode(wanted)}")
        found = answer.get("inventories", [])
        uuids = [one["uuid"] for one in found if "uuid" in one]
        text = json.dumps(found, ensure_ascii=False, sort_keys=True)
        return config | {"json": text, "uuids": uuids, "total": answer.get("total")}
