"""`PUT /v1/images/{uuid}`: a copy of an image in a storage's cache, fetched from the control plane and verified.

The call waits up to `wait` seconds (query parameter, default 20) and then answers how far it is; the caller repeats it
until `state` is `ready` or `failed`. `GET`, and `DELETE ?storage_uuid=` (refused `in_use` while a volume rests on it).
Path: `<storage path>/imagecache/template/<uuid>/<uuid>.qcow2`, or `imagecache/iso/<uuid>/<uuid>.iso`.
"""

from typing import Literal

from hostagent.contract.base import Model, Specified

ImageFormat = Literal["qcow2", "raw", "iso"]


class ImageSpec(Specified):
    storage_uuid: str
    url: str  # of the control plane's image store; Range requests work
    bearer_token: str = ""
    sha256: str
    size: int  # bytes of the file on the wire
    format: ImageFormat


class ImageStatus(Model):
    uuid: str
    storage_uuid: str
    state: Literal["absent", "downloading", "ready", "failed"]
    path: str = ""
    bytes_done: int = 0
    bytes_total: int = 0
    error: str = ""
