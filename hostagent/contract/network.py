"""`PUT /v1/network`: everything network on the host, whole, with one generation. What is not in it is removed.

The answer comes when bridges, namespaces, DHCP, metadata and guard stand as the snapshot says: a guest may start then.
Each network has one service address and one service MAC, the same on every host.
"""

from typing import Literal

from pydantic import Field

from hostagent.contract.base import Model, Specified


class BridgeSpec(Model):
    """An L2 network on this host: a bridge with the physical interface (or its VLAN) as its uplink."""

    l2_uuid: str
    name: str = Field(max_length=15)
    physical_interface: str
    vlan: int | None = None


class PortSpec(Model):
    """A NIC of a VM that lives (or is about to live) on this host."""

    nic_uuid: str
    vm_uuid: str
    mac: str
    ip: str
    tap: str = Field(max_length=15)
    is_default: bool  # only the default network's NIC gets router, DNS and host name
    hostname: str = ""  # without domain
    anti_spoofing: bool = True


class NetworkSpec(Model):
    """An L3 network: namespace, DHCP, metadata. `service_ip` is both DHCP server id and metadata address."""

    l3_uuid: str
    bridge: str
    cidr: str  # 10.0.0.0/16
    gateway: str
    service_ip: str | None  # None: no service on this network, guard only
    service_mac: str = ""
    dhcp: bool = False
    userdata: bool = False
    dns: list[str] = []
    domain: str = ""
    ntp: list[str] = []
    mtu: int = 1500
    lease_seconds: int = 86400
    host_routes: list[tuple[str, str]] = []  # (destination CIDR, next hop)
    tftp_server: str = ""  # address or name; with boot_file for network boot
    boot_file: str = ""
    ports: list[PortSpec] = []


class InstanceMetadata(Model):
    """What the metadata service says to one VM; user data as base64 of the exact bytes to serve ("" for none)."""

    vm_uuid: str
    instance_id: str
    hostname: str
    public_keys: list[str] = []
    user_data_base64: str = ""
    availability_zone: str = ""
    service_offering: str = ""
    tokens: Literal["optional", "required"] = "optional"  # IMDSv2 for the EC2 paths


class SnapshotSpec(Specified):
    bridges: list[BridgeSpec] = []
    networks: list[NetworkSpec] = []
    instances: list[InstanceMetadata] = []


class NetworkStatus(Model):
    """`dhcp_acks` counts, by NIC, the leases acknowledged since the services started: a fact for `wait_for = dhcp`.
    `metadata_reads` counts, by VM, the metadata requests answered, `phone_homes` how often its cloud-init said that it is done.
    An entry lives as long as its NIC or VM is in the snapshot."""

    generation: int
    dhcp_acks: dict[str, int] = {}
    metadata_reads: dict[str, int] = {}
    phone_homes: dict[str, int] = {}
