# A VM that is installed from an ISO image on an empty disk. It boots from the ISO once; when the installer reboots, it boots
# from its disk. That changes no wish, so the next plan is empty; `installed = true` then takes the ISO out of the drive.

terraform {
  required_version = ">= 1.10" # for the ephemeral ticket below
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

# The host's agent has enrolled before: `steppe CreateHostEnrollmentToken` prints the command to run there.
resource "steppe_host" "host" {
  name          = "host-1"
  management_ip = var.host_ip
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

resource "steppe_image" "installer" {
  name              = "installer"
  url               = var.iso_url
  format            = "iso"
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

resource "steppe_network" "flat" {
  name            = "flat"
  l2_network_uuid = steppe_l2_network.flat.uuid
  cidr            = var.network_cidr
}

# What every VM's screen speaks that wishes nothing itself. Destroying this brings the default back.
resource "steppe_global_config" "console" {
  category = "kvm"
  name     = "vm.consoleMode"
  value    = "vncAndSpice"
}

resource "steppe_vm" "vm" {
  name                   = "installed"
  image_uuid             = steppe_image.installer.uuid
  root_disk_size         = var.disk_gib * 1024 * 1024 * 1024
  instance_offering_uuid = steppe_instance_offering.small.uuid
  network_uuids          = [steppe_network.flat.uuid]
  cpu_mode               = "host-model"

  # Exactly these images are in its CD drives; a running guest gets and gives them at once.
  iso_uuids = var.installed ? [] : [steppe_image.installer.uuid]

  depends_on = [steppe_local_storage.local, steppe_global_config.console]
}

# Where its screen listens on its host. A browser needs no way there: see the ticket.
data "steppe_console_address" "vm" {
  vm_uuid = steppe_vm.vm.uuid
}

# A ticket for its console: in no state and in no plan. `open_console` names a command that gets its URL.
ephemeral "steppe_console_access" "vm" {
  vm_uuid  = steppe_vm.vm.uuid
  protocol = "vnc"
}

resource "terraform_data" "open_console" {
  count = var.open_console == null ? 0 : 1

  provisioner "local-exec" {
    command     = var.open_console # e.g. xdg-open "$URL"
    environment = { URL = ephemeral.steppe_console_access.vm.url }
  }
}
