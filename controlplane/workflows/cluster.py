"""What the cluster APIs do. Without hosts an attached network or storage has nothing to undo: the reference just goes."""

from controlplane.contract.cluster import (
    ChangeClusterState,
    ClusterInventory,
    CreateCluster,
    DeleteCluster,
    UpdateCluster,
)
from controlplane.workflows.plain import Plain

cluster = Plain(
    "ClusterVO",
    ClusterInventory,
    needed_by=(("HostVO", "cluster_uuid"),),
    attached_by=(("L2NetworkClusterRefVO", "cluster_uuid"), ("PrimaryStorageClusterRefVO", "cluster_uuid")),
)
cluster.creates(CreateCluster)
cluster.updates(UpdateCluster)
cluster.changes_state(ChangeClusterState)
cluster.deletes(DeleteCluster)
