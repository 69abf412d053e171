"""One network with a default guest, a second NIC of it elsewhere, and another guest."""

from base64 import b64encode
from typing import Any

from hostagent.contract import InstanceMetadata, NetworkSpec, PortSpec, SnapshotSpec

L3, OTHER_L3 = "5e" * 16, "7f" * 16
VM, OTHER_VM = "aa" * 16, "bb" * 16
IP, OTHER_IP, SECOND_IP = "10.50.0.11", "10.50.0.12", "192.168.9.5"
USER_DATA = b"#cloud-config\nusers: [f\xc3\xb6\xc3\xb6]\n\x00\xff"
KEYS = ["ssh-ed25519 AAAAone one@laptop", "ssh-rsa AAAAtwo two@laptop"]


def port(vm: str, ip: str, number: int, **changes: Any) -> PortSpec:
    facts: dict[str, Any] = {
        "nic_uuid": f"{number:032x}", "vm_uuid": vm, "mac": f"fa:00:00:00:00:{number:02x}", "ip": ip,
        "tap": f"vnic{number}.0", "is_default": True, "hostname": "web",
    }  # fmt: skip
    return PortSpec(**facts | changes)


def instance(vm: str = VM, **changes: Any) -> InstanceMetadata:
    facts: dict[str, Any] = {
        "vm_uuid": vm, "instance_id": "i-1", "hostname": "web", "public_keys": KEYS,
        "user_data_base64": b64encode(USER_DATA).decode(), "availability_zone": "north", "service_offering": "small",
    }  # fmt: skip
    return InstanceMetadata(**facts | changes)


def network(l3: str, cidr: str, *ports: PortSpec) -> NetworkSpec:
    return NetworkSpec(
        l3_uuid=l3, bridge="br", cidr=cidr, gateway="", service_ip="10.50.0.2", userdata=True, ports=list(ports)
    )


def snapshot(**changes: Any) -> SnapshotSpec:
    return SnapshotSpec(
        generation=1,
        networks=[
            network(L3, "10.50.0.0/24", port(VM, IP, 1), port(OTHER_VM, OTHER_IP, 2)),
            network(OTHER_L3, "192.168.9.0/24", port(VM, SECOND_IP, 3, is_default=False)),
        ],
        instances=[instance(**changes), InstanceMetadata(vm_uuid=OTHER_VM, instance_id="i-2", hostname="db")],
    )
