"""Checks and reads of L2 networks."""

from typing import Any

from controlplane.contract.error import refused
from controlplane.contract.l2_network import (
    AttachL2NetworkToCluster,
    DetachL2NetworkFromCluster,
    GetL2NetworkTypes,
    L2NetworkTypes,
)
from controlplane.services.registry import Caller, answers, checks
from controlplane.store import rows
from controlplane.store.database import Tx
from controlplane.workflows.l2_network import refuse_conflicts
from controlplane.workflows.world import World


@checks(AttachL2NetworkToCluster)
def may_attach(tx: Tx, message: AttachL2NetworkToCluster) -> None:
    l2 = rows.get(tx, "L2NetworkVO", message.l2_network_uuid) or {}
    cluster = rows.get(tx, "ClusterVO", message.cluster_uuid) or {}
    if l2["zone_uuid"] != cluster["zone_uuid"]:
        raise refused(
            f"L2 network {l2['name']} is in zone {l2['zone_uuid']}, "
            f"cluster {cluster['name']} in zone {cluster['zone_uuid']}; they must be in the same zone"
        )
    refuse_conflicts(tx, l2, message.cluster_uuid)


@checks(DetachL2NetworkFromCluster)
def may_detach(tx: Tx, message: DetachL2NetworkFromCluster) -> None:
    where = {"l2_network_uuid": message.l2_network_uuid, "cluster_uuid": message.cluster_uuid}
    if not rows.exists(tx, "L2NetworkClusterRefVO", **where):
        raise refused(f"L2 network {message.l2_network_uuid} is not attached to cluster {message.cluster_uuid}")


@answers(GetL2NetworkTypes)
async def types(_world: World, _caller: Caller, _message: GetL2NetworkTypes) -> dict[str, Any]:
    return L2NetworkTypes(l2_network_types=["L2NoVlanNetwork", "L2VlanNetwork"]).wire()
