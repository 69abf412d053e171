"""Which host may take over a volume (pure)."""

from dataclasses import dataclass

MOST_USED = 0.9  # of a file system; a candidate keeps the rest free
_MIB = 1024**2


@dataclass(frozen=True, slots=True)
class Target:
    """A host and its part of the volume's storage; `has_part` False: it has none, the sizes are then 0."""

    host_uuid: str
    state: str
    status: str
    has_part: bool
    available: int = 0
    total_physical: int = 0
    available_physical: int = 0


def unfit(target: Target, source_host_uuid: str, needed: int) -> str | None:
    """Why the host is no candidate, or None."""
    if target.host_uuid == source_host_uuid:
        return "the volume lies there already"
    if not target.has_part:
        return "it has no part of the volume's primary storage"
    if target.state != "Enabled":
        return f"it is {target.state}"
    if target.status != "Connected":
        return f"it is {target.status}"
    if target.available < needed:
        return f"{-(-needed // _MIB)} MiB are needed, {max(target.available, 0) // _MIB} are available"
    if target.available_physical < target.total_physical * (1 - MOST_USED):
        return f"its file system is more than {MOST_USED:.0%} full"
    return None
