"""steppe_cluster: hosts that share networks and storages."""

from provider.framework.schema import Schema
from provider.resources.base import Table, identity, reference, timeouts
from provider.resources.enablement import state


class Cluster(Table):
    type_name = "steppe_cluster"
    collection = "clusters"
    create_api = ("CreateCluster", "/clusters")
    update_action = "updateCluster"
    delete_api = "DeleteCluster"
    state_action = "changeClusterState"
    creates_with = ("zone_uuid",)
    constants = {"hypervisorType": "KVM"}
    schema = Schema(
        identity("cluster")
        | {"zone_uuid": reference("the zone that the cluster lies in")}
        | state("No VM is placed or started in a disabled cluster; those that run there go on.")
        | timeouts(),
        "A cluster: KVM hosts of one zone that share L2 networks and primary storages.",
    )
