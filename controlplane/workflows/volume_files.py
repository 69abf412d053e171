"""The files of a volume: the one place that knows which there are."""

from dataclasses import asdict, dataclass
from typing import Any

from controlplane.store import rows
from controlplane.store.database import Tx
from controlplane.workflows.vm_spec import volume_path
from controlplane.workflows.volume_rows import snapshot_path


@dataclass(frozen=True, slots=True)
class VolumeFile:
    """`path` is relative to the storage; `size` is what the file claims of its host's part of the storage. Its place is on
    record as LocalStorageResourceRefVO of `uuid`."""

    uuid: str
    path: str
    size: int

    def json(self) -> dict[str, Any]:
        return asdict(self)


def files_of(tx: Tx, volume: rows.Row) -> list[VolumeFile]:
    """The volume's own file first, then those of its snapshots, of all its trees. Base images are not its own."""
    snapshots = rows.find(tx, "VolumeSnapshotVO", volume_uuid=volume["uuid"], order_by=("create_date",))
    places = [(volume["uuid"], volume_path(volume), volume["size"])]
    places += [(snapshot["uuid"], snapshot_path(snapshot), snapshot["size"]) for snapshot in snapshots]
    refs = {uuid: rows.get(tx, "LocalStorageResourceRefVO", uuid) for uuid, _, _ in places}
    return [VolumeFile(uuid, path, ref["size"] if (ref := refs[uuid]) else size) for uuid, path, size in places]
