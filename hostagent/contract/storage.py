"""`PUT /v1/storages/{uuid}` (ensure the directory), `GET` (capacity), `DELETE` (forget it; data stays).

`GET /v1/storages/{uuid}/usage` says what the disks in it take.
"""

from hostagent.contract.base import Model, Specified


class StorageSpec(Specified):
    path: str  # absolute directory


class StorageStatus(Model):
    uuid: str
    path: str
    total_bytes: int
    available_bytes: int


class StorageUsage(Model):
    """`allocated`: bytes of each volume's and snapshot's file, by its path in the storage."""

    allocated: dict[str, int]
