"""`PUT /v1/volumes/{uuid}` (create if absent), `GET`, `DELETE ?storage_uuid=&path=` (absent is success)."""

from hostagent.contract.base import Model, Specified


class VolumeSpec(Specified):
    """A qcow2 file; `path` is relative to the storage's directory. With `base_image_uuid` an overlay of that image in
    the cache of the same storage, with a relative backing name; `size` is the virtual size (0 = the image's)."""

    storage_uuid: str
    path: str
    size: int
    base_image_uuid: str | None = None


class VolumeStatus(Model):
    uuid: str
    storage_uuid: str
    path: str
    size: int  # virtual
    actual_size: int  # allocated
