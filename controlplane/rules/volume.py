"""How many data volumes a VM may have, the number each gets, and what sizes disks have (pure)."""

MOST_DATA_VOLUMES = 24
_SECTOR = 512  # bytes


def whole_sectors(size: int) -> int:
    """A disk has whole sectors: what was asked for, or a little more."""
    return -(-size // _SECTOR) * _SECTOR


def free_device_id(used: set[int | None]) -> int:
    """The lowest that is free; 0 is the root volume's."""
    return min(set(range(1, len(used) + 2)) - used)
