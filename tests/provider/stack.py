"""The configuration that the tests of the resources vary: one of everything."""

from tests.provider.cloud import Cloud

EVERYTHING = """
resource "steppe_zone" "a" {
  name = "zone"
}
resource "steppe_cluster" "a" {
  name        = "cluster"
  description = "two hosts"
  zone_uuid   = steppe_zone.a.uuid
}
resource "steppe_host" "a" {
  name          = "host"
  management_ip = "%(ip)s"
  cluster_uuid  = steppe_cluster.a.uuid
}
resource "steppe_local_storage" "a" {
  name          = "storage"
  url           = "/var/lib/steppe/storage"
  zone_uuid     = steppe_zone.a.uuid
  cluster_uuids = [steppe_cluster.a.uuid]
  depends_on    = [steppe_host.a]
}
resource "steppe_image_store" "a" {
  name       = "store"
  url        = "/images"
  zone_uuids = [steppe_zone.a.uuid]
}
resource "steppe_image" "a" {
  name              = "image"
  url               = "file://%(images)s/guest.qcow2"
  format            = "qcow2"
  image_store_uuids = [steppe_image_store.a.uuid]
}
resource "steppe_instance_offering" "a" {
  name        = "small"
  cpu_num     = 1
  memory_size = 256 * 1024 * 1024
}
resource "steppe_disk_offering" "a" {
  name      = "disk"
  disk_size = 1024 * 1024 * 1024
}
resource "steppe_l2_network" "a" {
  name               = "l2"
  zone_uuid          = steppe_zone.a.uuid
  physical_interface = "eth0"
  cluster_uuids      = [steppe_cluster.a.uuid]
  depends_on         = [steppe_host.a]
}
resource "steppe_network" "a" {
  name            = "l3"
  l2_network_uuid = steppe_l2_network.a.uuid
  dns             = ["10.9.0.1", "10.9.0.2"]
  dns_domain      = "flat.example"
  services        = ["Userdata", "DHCP"]
  ip_ranges       = [{ start_ip = "10.9.0.10", end_ip = "10.9.0.99", netmask = "255.255.255.0", gateway = "10.9.0.1" }]
}
"""

VM = """
resource "steppe_vm" "a" {
  name                   = "vm"
  image_uuid             = steppe_image.a.uuid
  instance_offering_uuid = steppe_instance_offering.a.uuid
  network_uuids          = [steppe_network.a.uuid]
  host_uuid              = steppe_host.a.uuid
  ssh_keys               = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFh a"]
  hostname               = "vm"
  user_data              = <<-YAML
    groups:
      - ubuntu: [foo, bar]
    # a :: in the text, and a "quote"
    runcmd: ["echo a::b"]
  YAML
  depends_on             = [steppe_local_storage.a]
}
"""

# Beside the VM: what hangs on it.
PARTS = """
resource "steppe_volume" "a" {
  name               = "data"
  disk_offering_uuid = steppe_disk_offering.a.uuid
}
resource "steppe_volume_attachment" "a" {
  volume_uuid = steppe_volume.a.uuid
  vm_uuid     = steppe_vm.a.uuid
}
resource "steppe_volume_snapshot" "a" {
  name        = "snapshot"
  volume_uuid = steppe_vm.a.root_volume_uuid
}
resource "steppe_user_tag" "a" {
  resource_uuid = steppe_vm.a.uuid
  resource_type = "VmInstanceVO"
  tag           = "blue"
}
resource "steppe_system_tag" "a" {
  resource_uuid = steppe_vm.a.uuid
  resource_type = "VmInstanceVO"
  tag           = "cdRoms::2"
}
"""

# Beside EVERYTHING, for the tests of VMs: a second host, network, image and offering, a data volume template and an ISO.
MORE = """
resource "steppe_host" "b" {
  name          = "host b"
  management_ip = "%(other_ip)s"
  cluster_uuid  = steppe_cluster.a.uuid
}
resource "steppe_image" "b" {
  name              = "image b"
  url               = "file://%(images)s/guest.qcow2"
  format            = "qcow2"
  image_store_uuids = [steppe_image_store.a.uuid]
}
resource "steppe_image" "data" {
  name              = "image of data"
  url               = "file://%(images)s/guest.qcow2"
  format            = "qcow2"
  media_type        = "DataVolumeTemplate"
  image_store_uuids = [steppe_image_store.a.uuid]
}
resource "steppe_image" "iso" {
  name              = "iso"
  url               = "file://%(images)s/guest.iso"
  format            = "iso"
  image_store_uuids = [steppe_image_store.a.uuid]
}
resource "steppe_instance_offering" "b" {
  name        = "large"
  cpu_num     = 2
  memory_size = 512 * 1024 * 1024
}
resource "steppe_instance_offering" "huge" {
  name        = "huge"
  cpu_num     = 1
  memory_size = 1024 * 1024 * 1024 * 1024
}
resource "steppe_disk_offering" "b" {
  name      = "disk b"
  disk_size = 2 * 1024 * 1024 * 1024
}
resource "steppe_network" "b" {
  name            = "l3 b"
  l2_network_uuid = steppe_l2_network.a.uuid
  cidr            = "10.8.0.0/24"
}
"""

# A change in place for every resource.
RENAMES = {
    '"vm"\n  image': '"vm two"\n  image',
    '"zone"\n': '"zone of mine"\n',
    '"two hosts"': '"now with another description"',
    '"host"\n': '"first host"\n',
    '"storage"\n': '"storage two"\n',
    '"store"\n': '"store two"\n',
    '"image"\n': '"image two"\n',
    '"small"': '"little"',
    '"disk"': '"disc"',
    '"l2"': '"layer two"',
    '"l3"': '"layer three"',
}


def everything(cloud: Cloud) -> str:
    return EVERYTHING % {"ip": cloud.addresses[0], "images": cloud.images}


def with_vm(cloud: Cloud) -> str:
    return everything(cloud) + VM


def land_for_vms(cloud: Cloud) -> str:
    return everything(cloud) + MORE % {"other_ip": cloud.addresses[1], "images": cloud.images}


def renamed(text: str) -> str:
    for old, new in RENAMES.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text
