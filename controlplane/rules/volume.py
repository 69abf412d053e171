"""How many data volumes a VM may have, and the number each gets (pure)."""

MOST_DATA_VOLUMES = 24


def free_device_id(used: set[int | None]) -> int:
    """The lowest that is free; 0 is the root volume's."""
    return min(set(range(1, len(used) + 2)) - used)
