"""steppe_l2_network: a physical interface of the hosts, or one VLAN of it."""

from typing import Any

from provider.framework import validate
from provider.framework.plan import Object
from provider.framework.resource import Context
from provider.framework.schema import Schema, optional, required
from provider.framework.types import NUMBER, STRING
from provider.resources.base import Links, Table, identity, reference, references, timeouts


class L2Network(Table):
    type_name = "steppe_l2_network"
    collection = "l2-networks"
    update_action = "updateL2Network"
    delete_api = "DeleteL2Network"
    creates_with = ("zone_uuid", "physical_interface")
    links = (
        Links(
            "cluster_uuids",
            "attachedClusterUuids",
            "l2-networks/{uuid}/clusters/{target}",
            "AttachL2NetworkToCluster",
            "DetachL2NetworkFromCluster",
        ),
    )
    schema = Schema(
        identity("network")
        | {
            "zone_uuid": reference("the zone that the network lies in"),
            "physical_interface": required(
                STRING,
                "Name of the interface on each host, e.g. `eth0`.",
                replace=True,
                validators=(
                    validate.matches(r"[^\s/:]{1,15}", "a name of a network interface (1 to 15 characters, no blank)"),
                ),
            ),
            "vlan": optional(
                NUMBER,
                "VLAN id, 1 to 4094; without it the interface carries the network untagged.",
                replace=True,
                validators=(validate.between(1, 4094),),
            ),
            "cluster_uuids": references("", "UUIDs of the clusters whose hosts get the network's bridge."),
        }
        | timeouts(),
        "An L2 network: a broadcast domain. Every host of its clusters gets a bridge on the interface.",
    )

    def create_endpoint(self, planned: Object) -> tuple[str, str]:
        if planned["vlan"] is None:
            return "CreateL2NoVlanNetwork", "/l2-networks/no-vlan"
        return "CreateL2VlanNetwork", "/l2-networks/vlan"

    def parameters(self, context: Context, planned: Object) -> dict[str, Any]:
        return {"vlan": planned["vlan"]}
