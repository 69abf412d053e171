"""What the cluster APIs do."""

from controlplane.contract.cluster import (
    ChangeClusterState,
    ClusterInventory,
    CreateCluster,
    DeleteCluster,
    UpdateCluster,
)
from controlplane.workflows.plain import Plain

cluster = Plain("ClusterVO", ClusterInventory, needed_by=(("HostVO", "cluster_uuid"),))
cluster.creates(CreateCluster)
cluster.updates(UpdateCluster)
cluster.changes_state(ChangeClusterState)
cluster.deletes(DeleteCluster)
