"""What a VM boots from (pure).

An order that was set explicitly holds for good. Without one a VM boots from its disk, but a VM made from an ISO boots
from that first, until it is rebooted (by the API or by its guest) or stopped and started.
"""

from collections.abc import Sequence

from controlplane.contract.error import invalid

DISK, CD, NETWORK = "HardDisk", "CdRom", "Network"
_FROM_DISK, _FROM_ISO = [DISK], [CD, DISK]


def lasting(explicit: str | None) -> list[str]:
    """What every boot follows for which nothing else is said. `explicit`: as stored, comma separated."""
    return explicit.split(",") if explicit else _FROM_DISK


def once(explicit: str | None, wished: str | None, installs: bool) -> list[str]:
    """What the next boot alone follows, or nothing. `installs`: the ISO the VM was made from is in, and it never rebooted."""
    if wished:
        return wished.split(",")
    return _FROM_ISO if installs and not explicit else []


def check(order: Sequence[str] | None, field: str) -> str | None:
    """As it is stored; the contract has checked each device."""
    if order and len(set(order)) < len(order):
        raise invalid(f"field[{field}]: {','.join(order)} names a device twice", field)
    return ",".join(order) if order else None
