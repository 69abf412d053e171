"""`PUT /v1/volumes/{uuid}` (ensure), `GET`, `DELETE ?storage_uuid=&path=` (one file; absent is success).

A volume is a chain of files, all of them relative to the storage's directory: its snapshots, lowest first, and on top the
file that the guest writes to. Under the lowest there may be an image of the cache. `PUT /v1/volumes` states several volumes
of one VM at once: files that are put on top of others then freeze all of them at one instant.

What is read through a file never changes by a PUT, so long as it stays. Long work goes on by itself: the answer has the
state `working` after `wait` seconds (query parameter, default 20), and the caller repeats the call.
"""

from typing import Literal

from hostagent.contract.base import Model, Specified


class VolumeSpec(Specified):
    """The file `path` is there and has that `size` (virtual, 0 = as what it rests on).

    An absent one is made: on top of the last of `below`, else as an overlay of `base_image_uuid`, else as a copy of
    `copy_of`, else blank. When the domain of `vm_uuid` has the last of `below` open, it goes on with the new file from one
    instant on (quiesced when a guest agent answers), and the old one is frozen.

    An existing one comes to rest on the last of `below` (on its image, or nothing, when that is empty): what it rested on
    and shall not any more is merged into it, and removed by nobody but a DELETE. None: on whatever it rests. A running
    guest's file can lose what it rests on, not gain.

    `fold` is a file on top of `path` that shall not be: its content goes down into `path`, which the guest goes on with.

    A larger `size` grows it, in the running domain too. A smaller one is refused, but with `cut`: then it becomes smaller
    again, unless anything was written beyond that size."""

    storage_uuid: str
    path: str
    size: int
    below: list[str] | None = None
    base_image_uuid: str | None = None
    copy_of: str | None = None
    fold: str | None = None
    vm_uuid: str | None = None
    cut: bool = False


class VolumesSpec(Model):
    vm_uuid: str
    volumes: dict[str, VolumeSpec]  # by uuid


class VolumeFile(Model):
    path: str
    actual_size: int  # allocated


class VolumeStatus(Model):
    """`chain`: the volume's own files, lowest first; its image is not among them."""

    uuid: str
    storage_uuid: str
    path: str
    state: Literal["ready", "working"] = "ready"
    size: int = 0  # virtual
    actual_size: int = 0  # allocated
    chain: list[VolumeFile] = []
