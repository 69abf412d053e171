"""What a host's network should be, read from the database: bridges, networks with the NICs placed there, metadata.

The rows are read anew for each snapshot. The part of a VM whose rows are those of the last snapshot is taken from there: it
would be the same, and building it is most of the work on a host with many VMs.
"""

import base64
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from controlplane.rules import system_tag, user_data
from controlplane.rules.bridge import bridge_name
from controlplane.store import rows
from controlplane.store.database import Tx
from controlplane.workflows.network_service import DHCP, USERDATA
from hostagent.contract import BridgeSpec, InstanceMetadata, NetworkSpec, PortSpec, SnapshotSpec

Tags = dict[str, list[str]]  # VM uuid → its system tags
# There are many of them, and whole rows are several times the work.
_OF_VM = ("uuid", "default_l3_network_uuid", "zone_uuid", "instance_offering_uuid", "cloud_init_runs", "revoked_keys")
_OF_NIC = ("uuid", "vm_instance_uuid", "l3_network_uuid", "mac", "ip", "tap")
_REMEMBERED = 4096  # characters of a VM's tags; with longer ones its parts are built each time
T = TypeVar("T")


class Parts:
    """The parts of one host's last snapshot, by all that they were built from."""

    def __init__(self) -> None:
        self._last: dict[Any, Any] = {}
        self._now: dict[Any, Any] = {}

    def begin(self) -> None:
        self._last, self._now = self._now, {}

    def get(self, key: tuple[Any, ...], tags: list[str], build: Callable[[], T]) -> T:
        if sum(map(len, tags)) > _REMEMBERED:
            return build()
        key = (*key, *tags)
        part: T = self._last[key] if key in self._last else build()
        self._now[key] = part
        return part


def snapshot(tx: Tx, host_uuid: str, generation: int, parts: Parts) -> SnapshotSpec:
    """VMs are on the host from before their start until after their end (`VmInstanceVO.host_uuid`); one that moves while it
    runs is on two (`dest_host_uuid`)."""
    parts.begin()
    hosts = rows.find(tx, "HostVO", only=("cluster_uuid",), uuid=host_uuid)
    if not hosts:
        return SnapshotSpec(generation=generation)
    attached = rows.find(tx, "L2NetworkClusterRefVO", cluster_uuid=hosts[0]["cluster_uuid"])
    l2s = _by_uuid(tx, "L2NetworkVO", {ref["l2_network_uuid"] for ref in attached})
    bridges = [
        BridgeSpec(
            l2_uuid=l2["uuid"],
            name=bridge_name(l2["physical_interface"], l2["vlan"]),
            physical_interface=l2["physical_interface"],
            vlan=l2["vlan"],
        )
        for l2 in sorted(l2s.values(), key=lambda l2: str(l2["uuid"]))
    ]
    placed = rows.find(tx, "VmInstanceVO", only=_OF_VM, host_uuid=host_uuid)
    coming = rows.find(tx, "VmInstanceVO", only=_OF_VM, dest_host_uuid=host_uuid)
    vms = {vm["uuid"]: vm for vm in (*placed, *coming)}
    if not vms:
        return SnapshotSpec(generation=generation, bridges=bridges)
    nics = [nic for nic in rows.find(tx, "VmNicVO", only=_OF_NIC, vm_instance_uuid=list(vms)) if nic["ip"]]
    l3s = _by_uuid(tx, "L3NetworkVO", {nic["l3_network_uuid"] for nic in nics})
    bridge_of = {bridge.l2_uuid: bridge.name for bridge in bridges}
    tags = _tags(tx, list(vms))
    services = _grouped(
        rows.find(tx, "NetworkServiceL3NetworkRefVO", l3_network_uuid=list(l3s)), "network_service_type"
    )
    ports = {nic["uuid"]: _port(nic, vms[nic["vm_instance_uuid"]], tags, parts) for nic in nics}
    networks = [
        _network(tx, l3, bridge_of[l3["l2_network_uuid"]], set(services.get(uuid, ())), nics, ports)
        for uuid, l3 in sorted(l3s.items())
        if l3["l2_network_uuid"] in bridge_of
    ]
    with_userdata = {uuid for uuid, names in services.items() if USERDATA in names}
    return SnapshotSpec(
        generation=generation,
        bridges=bridges,
        networks=networks,
        instances=_instances(tx, vms, [nic for nic in nics if nic["l3_network_uuid"] in with_userdata], tags, parts),
    )


def hostname(tags: list[str], ip: str) -> str:
    """The `hostname::` tag, or the address with dashes."""
    return _first(tags, "hostname") or ip.replace(".", "-")


def instance_id(vm: rows.Row) -> str:
    """By a new one cloud-init knows that it must run again."""
    runs = vm["cloud_init_runs"]
    return f"{vm['uuid']}-{runs}" if runs else str(vm["uuid"])


def _first(tags: list[str], prefix: str) -> str | None:
    return next(iter(system_tag.values(tags, prefix)), None)


def _network(
    tx: Tx, l3: rows.Row, bridge: str, services: set[str], nics: list[rows.Row], ports: dict[str, PortSpec]
) -> NetworkSpec:
    uuid = l3["uuid"]
    ranges = rows.find(tx, "IpRangeVO", l3_network_uuid=uuid, order_by=("create_date",))
    dns = rows.find(tx, "L3NetworkDnsVO", l3_network_uuid=uuid, order_by=("id",))
    return NetworkSpec(
        l3_uuid=uuid,
        bridge=bridge,
        cidr=ranges[0]["network_cidr"],
        gateway=ranges[0]["gateway"],
        service_ip=l3["service_ip"] if services else None,
        service_mac=l3["service_mac"] or "",
        dhcp=DHCP in services and bool(l3["service_ip"]),
        userdata=USERDATA in services and bool(l3["service_ip"]),
        dns=[entry["dns"] for entry in dns],
        domain=l3["dns_domain"] or "",
        mtu=l3["mtu"],
        ports=[ports[nic["uuid"]] for nic in nics if nic["l3_network_uuid"] == uuid],
    )


def _port(nic: rows.Row, vm: rows.Row, tags: Tags, parts: Parts) -> PortSpec:
    is_default = nic["l3_network_uuid"] == vm["default_l3_network_uuid"]
    own = tags.get(vm["uuid"], [])

    def build() -> PortSpec:
        return PortSpec(
            nic_uuid=nic["uuid"],
            vm_uuid=vm["uuid"],
            mac=nic["mac"],
            ip=nic["ip"],
            tap=nic["tap"],
            is_default=is_default,
            hostname=hostname(own, nic["ip"]) if is_default else "",
        )

    return parts.get((*nic.values(), is_default), own, build)


def _instances(
    tx: Tx, vms: dict[str, rows.Row], nics: list[rows.Row], tags: Tags, parts: Parts
) -> list[InstanceMetadata]:
    """VMs whose default network is that of one of these NICs."""
    served = [nic for nic in nics if nic["l3_network_uuid"] == vms[nic["vm_instance_uuid"]]["default_l3_network_uuid"]]
    if not served:
        return []
    zones = _by_uuid(tx, "ZoneVO", {vm["zone_uuid"] for vm in vms.values()})
    offerings = _by_uuid(tx, "InstanceOfferingVO", {vm["instance_offering_uuid"] for vm in vms.values()})
    found = []
    for nic in served:
        vm = vms[nic["vm_instance_uuid"]]
        zone = zones.get(vm["zone_uuid"], {}).get("name", "")
        offering = offerings.get(vm["instance_offering_uuid"], {}).get("name", "")
        own = tags.get(vm["uuid"], [])
        key = (*vm.values(), nic["ip"], zone, offering)
        found.append(parts.get(key, own, partial(_instance, vm, nic["ip"], zone, offering, own)))
    return found


def _instance(vm: rows.Row, ip: str, zone: str, offering: str, tags: list[str]) -> InstanceMetadata:
    keys = system_tag.values(tags, "sshkey")
    written, password = _first(tags, "userdata"), _first(tags, "rootPassword")
    data = user_data.render(written, keys, password, (vm["revoked_keys"] or "").split())
    return InstanceMetadata(
        vm_uuid=vm["uuid"],
        instance_id=instance_id(vm),
        hostname=hostname(tags, ip),
        public_keys=user_data.public_keys(keys),
        user_data_base64=base64.b64encode(data).decode(),
        availability_zone=zone,
        service_offering=offering,
        tokens="required" if _first(tags, "metadataTokens") == "required" else "optional",
    )


def _tags(tx: Tx, vm_uuids: list[str]) -> Tags:
    return _grouped(
        rows.find(tx, "SystemTagVO", only=("resource_uuid", "tag"), resource_uuid=vm_uuids, order_by=("create_date",)),
        "tag",
        "resource_uuid",
    )


def _grouped(found: list[rows.Row], value: str, key: str = "l3_network_uuid") -> dict[str, list[Any]]:
    groups: dict[str, list[Any]] = {}
    for row in found:
        groups.setdefault(row[key], []).append(row[value])
    return groups


def _by_uuid(tx: Tx, resource: str, uuids: set[str]) -> dict[str, rows.Row]:
    wanted = [uuid for uuid in uuids if uuid]
    return {row["uuid"]: row for row in rows.find(tx, resource, uuid=wanted)} if wanted else {}
