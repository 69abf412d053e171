"""Which quotas there are, and what a new account gets (pure)."""

from controlplane.contract.error import ApiError

GIB = 1024**3
# VMs, CPUs and memory of `vm.num`, `vm.cpuNum` and `vm.memorySize` are those of VMs that are not stopped; sizes are bytes.
DEFAULTS: dict[str, int] = {
    "vm.totalNum": 20,
    "vm.num": 20,
    "vm.cpuNum": 80,
    "vm.memorySize": 80 * GIB,
    "volume.data.num": 40,
    "volume.capacity": 10 * 1024 * GIB,
    "snapshot.volume.num": 200,
    "image.num": 20,
    "image.size": 10 * 1024 * GIB,
}


def must_fit(name: str, limit: int, used: int, asked: int) -> None:
    """Raises ID.1003."""
    if used + asked > limit:
        raise ApiError("ID.1003", f"quota {name} would be exceeded: limit {limit}, used {used}, asked {asked}")
