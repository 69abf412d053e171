"""What a host agent is told and what it answers: the only module of the agent that others may import.

Every `PUT` states the whole of one thing (or of the host's network), with a `generation`; the agent makes it so,
reads it back and answers with a status. An older generation is refused (`stale_generation`). Repeating a call is
harmless. Sizes are bytes, times are seconds, UUIDs are 32 lower-case hex digits.
"""

from hostagent.contract.base import Model, Specified
from hostagent.contract.error import ErrorClass, HostError, Problem
from hostagent.contract.event import Event, EventPage
from hostagent.contract.host import HostFacts, PhysicalInterface
from hostagent.contract.image import ImageSpec, ImageStatus
from hostagent.contract.migration import ArrivalSpec, ArrivalStatus, DepartureSpec, DepartureStatus
from hostagent.contract.network import (
    BridgeSpec,
    InstanceMetadata,
    NetworkSpec,
    NetworkStatus,
    PortSpec,
    SnapshotSpec,
)
from hostagent.contract.storage import StorageSpec, StorageStatus
from hostagent.contract.transfer import (
    ExportedFile,
    ExportSpec,
    ExportStatus,
    ImportFile,
    ImportSpec,
    ImportStatus,
)
from hostagent.contract.upload import UploadSpec, UploadStatus
from hostagent.contract.vm import ConsoleAddress, DiskSpec, IsoSpec, NicSpec, VmSpec, VmStatus
from hostagent.contract.volume import VolumeFile, VolumeSpec, VolumesSpec, VolumeStatus

__all__ = [
    "ArrivalSpec",
    "ArrivalStatus",
    "BridgeSpec",
    "ConsoleAddress",
    "DepartureSpec",
    "DepartureStatus",
    "DiskSpec",
    "ErrorClass",
    "Event",
    "EventPage",
    "ExportSpec",
    "ExportStatus",
    "ExportedFile",
    "HostError",
    "HostFacts",
    "ImageSpec",
    "ImageStatus",
    "ImportFile",
    "ImportSpec",
    "ImportStatus",
    "InstanceMetadata",
    "IsoSpec",
    "Model",
    "NetworkSpec",
    "NetworkStatus",
    "NicSpec",
    "PhysicalInterface",
    "PortSpec",
    "Problem",
    "SnapshotSpec",
    "Specified",
    "StorageSpec",
    "StorageStatus",
    "UploadSpec",
    "UploadStatus",
    "VmSpec",
    "VmStatus",
    "VolumeFile",
    "VolumeSpec",
    "VolumeStatus",
    "VolumesSpec",
]
