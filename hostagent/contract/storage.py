"""`PUT /v1/storages/{uuid}` (ensure the directory), `GET` (capacity), `DELETE` (forget it; data stays)."""

from hostagent.contract.base import Model, Specified


class StorageSpec(Specified):
    path: str  # absolute directory


class StorageStatus(Model):
    uuid: str
    path: str
    total_bytes: int
    available_bytes: int
