"""Steppe from Python: constructs that read like intent, over classes generated from the provider's schema.

What has no construct here is in `resources`, `data_sources` and `ephemeral_resources`, one class for each; all mix freely.
"""

from ._attributes import StackError
from .cloud_config import DEFAULT_USER, CloudConfig, File, Group, User
from .cluster import ExistingCluster, KvmCluster, instance_offering
from .network import FlatNetwork
from .provider import SteppeProvider
from .team import Team
from .vm import InstallFromIso, VirtualMachine
from .volume import DataVolume

__all__ = [
    "DEFAULT_USER",
    "CloudConfig",
    "DataVolume",
    "ExistingCluster",
    "File",
    "FlatNetwork",
    "Group",
    "InstallFromIso",
    "KvmCluster",
    "StackError",
    "SteppeProvider",
    "Team",
    "User",
    "VirtualMachine",
    "instance_offering",
]
