"""The files of a volume: the one place that knows which there are."""

from dataclasses import asdict, dataclass
from typing import Any

from controlplane.store import rows
from controlplane.store.database import Tx
from controlplane.workflows.vm_spec import volume_path


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
    """The volume's own file first, then those that it rests on: its snapshots. Base images are not its own."""
    ref = rows.get(tx, "LocalStorageResourceRefVO", volume["uuid"])
    return [VolumeFile(volume["uuid"], volume_path(volume), ref["size"] if ref else volume["size"])]
