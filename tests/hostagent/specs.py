"""Wishes that tests start from, as JSON."""

from typing import Any

STORAGE, IMAGE, VOLUME, VM, NIC = (digit * 32 for digit in "12345")
GIB = 1 << 30


def storage(**changes: Any) -> dict[str, Any]:
    return {"generation": 1, "path": "/steppe_ps"} | changes


def image(**changes: Any) -> dict[str, Any]:
    return {
        "generation": 1,
        "storage_uuid": STORAGE,
        "url": "sim://image",
        "sha256": "0" * 64,
        "size": GIB,
        "format": "qcow2",
    } | changes


def volume(**changes: Any) -> dict[str, Any]:
    return {"generation": 1, "storage_uuid": STORAGE, "path": f"volumes/{VOLUME}.qcow2", "size": 2 * GIB} | changes


def network(**changes: Any) -> dict[str, Any]:
    return {
        "generation": 1,
        "bridges": [{"l2_uuid": "a" * 32, "name": "br_eth0", "physical_interface": "eth0"}],
    } | changes


def vm(**changes: Any) -> dict[str, Any]:
    return {
        "generation": 1,
        "name": "vm1",
        "cpu_num": 1,
        "memory_bytes": 64 << 20,
        "disks": [
            {"volume_uuid": VOLUME, "storage_uuid": STORAGE, "path": f"volumes/{VOLUME}.qcow2", "device_id": 0},
        ],
        "nics": [{"nic_uuid": NIC, "mac": "fa:00:00:00:00:01", "bridge": "br_eth0", "tap": "tap1", "device_id": 0}],
        "power": "running",
        "boot_token": "one",
    } | changes
