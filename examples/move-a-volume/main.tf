# A data volume on the local disk of one KVM host, and a VM on every host that can have it. Detach it, change `host_index`
# and apply: the volume is moved with its snapshots and attached to the VM over there. The plan says what will be copied.

terraform {
  required_version = ">= 1.5"
  required_providers {
    steppe = {
      source = "terraform.local/steppe/steppe"
    }
  }
}

# The endpoint and the login come from STEPPE_ENDPOINT, STEPPE_USERNAME and STEPPE_PASSWORD.
provider "steppe" {}

resource "steppe_zone" "zone" {
  name = "zone"
}

resource "steppe_cluster" "cluster" {
  name      = "cluster"
  zone_uuid = steppe_zone.zone.uuid
}

# Each host's agent has enrolled before: `steppe CreateHostEnrollmentToken` prints the command to run there.
resource "steppe_host" "host" {
  count         = length(var.host_ips)
  name          = "host-${count.index + 1}"
  management_ip = var.host_ips[count.index]
  cluster_uuid  = steppe_cluster.cluster.uuid
}

resource "steppe_local_storage" "local" {
  name          = "local"
  url           = var.storage_path
  zone_uuid     = steppe_zone.zone.uuid
  cluster_uuids = [steppe_cluster.cluster.uuid]

  depends_on = [steppe_host.host]
}

resource "steppe_image_store" "images" {
  name       = "images"
  url        = "/images"
  zone_uuids = [steppe_zone.zone.uuid]
}

resource "steppe_image" "guest" {
  name              = "guest"
  url               = var.image_url
  format            = var.image_format
  sha256            = var.image_sha256
  image_store_uuids = [steppe_image_store.images.uuid]
}

resource "steppe_instance_offering" "small" {
  name        = "small"
  cpu_num     = 1
  memory_size = var.memory_mib * 1024 * 1024
}

resource "steppe_l2_network" "flat" {
  name               = "flat"
  zone_uuid          = steppe_zone.zone.uuid
  physical_interface = var.physical_interface
  cluster_uuids      = [steppe_cluster.cluster.uuid]

  depends_on = [steppe_host.host]
}

# Every host answers DHCP and serves metadata for its own guests: no router VM, no single point of failure.
resource "steppe_network" "flat" {
  name            = "flat"
  l2_network_uuid = steppe_l2_network.flat.uuid
  dns             = var.dns
  dns_domain      = "flat.example"
  services        = ["DHCP", "Userdata"]

  ip_ranges = [{
    start_ip = cidrhost(var.network_cidr, 10)
    end_ip   = cidrhost(var.network_cidr, 200)
    netmask  = cidrnetmask(var.network_cidr)
    gateway  = cidrhost(var.network_cidr, 1)
  }]
}

resource "steppe_vm" "vm" {
  count                  = length(var.host_ips)
  name                   = "vm-${count.index + 1}"
  hostname               = "vm-${count.index + 1}"
  image_uuid             = steppe_image.guest.uuid
  instance_offering_uuid = steppe_instance_offering.small.uuid
  network_uuids          = [steppe_network.flat.uuid]
  ssh_keys               = [var.ssh_public_key]
  host_uuid              = steppe_host.host[count.index].uuid

  depends_on = [steppe_local_storage.local]
}

resource "steppe_volume" "data" {
  name                 = "data"
  size                 = var.volume_mib * 1024 * 1024
  primary_storage_uuid = steppe_local_storage.local.uuid
  host_uuid            = steppe_host.host[var.host_index].uuid # another one moves the volume, which must be detached
  deletion_protection  = var.protected
}

# Linux finds the disk under `device_path`, whatever its letter.
resource "steppe_volume_attachment" "data" {
  count       = var.attached ? 1 : 0
  volume_uuid = steppe_volume.data.uuid
  vm_uuid     = steppe_vm.vm[var.host_index].uuid
}

# Snapshots travel with their volume. Destroying one merges it; the volume stays as it is.
resource "steppe_volume_snapshot" "data" {
  for_each    = toset(var.snapshots)
  name        = each.key
  volume_uuid = steppe_volume.data.uuid
}

# Where the volume could go, and why not elsewhere.
data "steppe_volume_migratable_hosts" "data" {
  volume_uuid = steppe_volume.data.uuid

  depends_on = [steppe_volume.data] # read after a move, not before
}

# What the network is like once a VM is on it: its service address is taken with the first of them.
data "steppe_network" "in_use" {
  uuid = steppe_network.flat.uuid

  depends_on = [steppe_vm.vm]
}
