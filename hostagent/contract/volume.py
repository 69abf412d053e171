"""`PUT /v1/volumes/{uuid}` (ensure), `GET`, `DELETE ?storage_uuid=&path=` (one file; absent is success)."""

from hostagent.contract.base import Model, Specified


class VolumeSpec(Specified):
    """A qcow2 file; `path` is relative to the storage's directory. With `base_image_uuid` it is made as an overlay of that
    image in the cache of the same storage, with a relative backing name; `size` is the virtual size (0 = the image's).

    A larger `size` grows it, in the running domain of `vm_uuid` if that has it open. A smaller one is refused, but with
    `cut`: then the file becomes smaller again, unless anything was written beyond that size."""

    storage_uuid: str
    path: str
    size: int
    base_image_uuid: str | None = None
    vm_uuid: str | None = None
    cut: bool = False


class VolumeStatus(Model):
    uuid: str
    storage_uuid: str
    path: str
    size: int  # virtual
    actual_size: int  # allocated
