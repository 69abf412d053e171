"""The resources, one module each; `ALL` is what the provider offers that has an inventory, and so data sources too."""

from provider.resources.access_key import AccessKey
from provider.resources.account import Account
from provider.resources.base import Table
from provider.resources.cluster import Cluster
from provider.resources.disk_offering import DiskOffering
from provider.resources.global_config import GlobalConfig
from provider.resources.host import Host
from provider.resources.image import Image
from provider.resources.image_store import ImageStore
from provider.resources.instance_offering import InstanceOffering
from provider.resources.l2_network import L2Network
from provider.resources.local_storage import LocalStorage
from provider.resources.network import Network
from provider.resources.quota import Quota
from provider.resources.resource_share import ResourceShare
from provider.resources.tag import SystemTag, UserTag
from provider.resources.vm import Vm
from provider.resources.volume import Volume
from provider.resources.volume_attachment import VolumeAttachment
from provider.resources.volume_snapshot import VolumeSnapshot
from provider.resources.volume_snapshot_group import VolumeSnapshotGroup
from provider.resources.zone import Zone

ALL: tuple[Table, ...] = (
    Zone(),
    Cluster(),
    Host(),
    LocalStorage(),
    ImageStore(),
    Image(),
    InstanceOffering(),
    DiskOffering(),
    L2Network(),
    Network(),
    Vm(),
    Volume(),
    VolumeAttachment(),
    VolumeSnapshot(),
    VolumeSnapshotGroup(),
    SystemTag(),
    UserTag(),
    Account(),
    AccessKey(),
)

__all__ = ["ALL", "GlobalConfig", "Quota", "ResourceShare"]
