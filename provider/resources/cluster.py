"""steppe_cluster: hosts that share networks and storages."""

from provider.framework.schema import Schema
from provider.resources.base import Table, identity, reference, timeouts


class Cluster(Table):
    type_name = "steppe_cluster"
    collection = "clusters"
    create_api = ("CreateCluster", "/clusters")
    update_action = "updateCluster"
    delete_api = "DeleteCluster"
    creates_with = ("zone_uuid",)
    constants = {"hypervisorType": "KVM"}
    schema = Schema(
        identity("cluster") | {"zone_uuid": reference("the zone that the cluster lies in")} | timeouts(),
        "A cluster: KVM hosts of one zone that share L2 networks and primary storages.",
    )
