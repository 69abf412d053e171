"""Files that go from one host to another: `PUT /v1/exports/{uuid}` on the source, `PUT /v1/imports/{uuid}` on the destination.

The destination pulls. An export is served on a port of its own, to one peer that shows its certificate of the agent CA
and the export's secret, until it expires; a repeated PUT extends it. `PUT …/imports/{uuid}?wait=` begins or joins the
copy, waits up to `wait` seconds and says how far it is; the caller repeats it until `state` is `ready` or `failed`.
`DELETE /v1/imports/{uuid}?files=remove` ends it and takes away what it brought (never a base image that is whole);
`files=keep` only forgets that these files were imported. Absent is success.
"""

from typing import Annotated, Literal

from pydantic import Field

from hostagent.contract.base import Model, Specified

Secret = Annotated[str, Field(min_length=32, max_length=128, repr=False)]


class ExportSpec(Specified):
    """`paths` are relative to the storage; what they rest on within the storage is exported with them."""

    storage_uuid: str
    paths: Annotated[list[str], Field(min_length=1, max_length=1024)]
    peer_agent_uuid: str
    secret: Secret
    expires_in: Annotated[int, Field(gt=0, le=86_400)] = 900  # seconds


class ExportedFile(Model):
    path: str
    actual_size: int  # bytes that are allocated, about what will travel
    backing_path: str | None = None  # what it rests on, relative to the storage
    is_base: bool = False  # not asked for: a named file rests on it


class ExportStatus(Model):
    uuid: str
    port: int
    files: list[ExportedFile]


class ImportFile(Model):
    """`is_base`: others may rest on it too, so it is skipped where it exists and stays when the import is removed."""

    path: str
    actual_size: int = 0
    is_base: bool = False


class ImportSpec(Specified):
    storage_uuid: str
    export_uuid: str
    source_ip: str
    source_port: int
    source_agent_uuid: str
    secret: Secret
    files: Annotated[list[ImportFile], Field(min_length=1, max_length=1024)]
    bytes_per_second: Annotated[int, Field(ge=0)] = 0  # 0: as fast as it goes


class ImportStatus(Model):
    """`error` begins with a fixed code and a colon; `bytes_per_second` is of the last seconds."""

    uuid: str
    state: Literal["absent", "copying", "ready", "failed"]
    bytes_done: int = 0
    bytes_total: int = 0
    bytes_per_second: int = 0
    error: str = ""
