"""`PUT /v1/uploads/{uuid}`: what is read through a file of a storage, sent to an image store as one flat qcow2 file.

The call waits up to `wait` seconds (query parameter, default 20) and then answers how far it is; the caller repeats it until
`state` is `done` or `failed`. `DELETE` stops it and forgets it. `uuid` is the image's. Nobody may write to the file meanwhile.
"""

from typing import Literal

from hostagent.contract.base import Model, Specified


class UploadSpec(Specified):
    storage_uuid: str
    path: str  # relative to the storage
    url: str  # gets a PUT with the bytes of the file
    bearer_token: str = ""


class UploadStatus(Model):
    uuid: str
    state: Literal["working", "done", "failed"]
    bytes_done: int = 0
    bytes_total: int = 0  # 0 while the file is being made
    error: str = ""
