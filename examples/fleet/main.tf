# Fifty VMs by their names, with user data from an object. A name taken out of the set destroys that VM and no other.

terraform {
  required_version = ">= 1.8" # for the provider's functions
  required_providers {
    steppe = { source = "terraform.local/steppe/steppe" }
  }
}

provider "steppe" {}

variable "nodes" {
  description = "Names of the VMs; null: node-01 to node-50."
  type        = set(string)
  default     = null
}

variable "image" {
  description = "Name of an image that is there."
  type        = string
  default     = "guest"
}

variable "instance_offering" {
  description = "Name of an instance offering that is there."
  type        = string
  default     = "small"
}

variable "network" {
  description = "Name of a network that is there."
  type        = string
  default     = "flat"
}

locals {
  nodes = var.nodes != null ? var.nodes : toset([for number in range(1, 51) : format("node-%02d", number)])
}

data "steppe_image" "image" {
  name = var.image
}

data "steppe_instance_offering" "small" {
  name = var.instance_offering
}

data "steppe_network" "flat" {
  name = var.network
}

# Without a host of its own each VM goes where there is most room.
resource "steppe_vm" "node" {
  for_each               = local.nodes
  name                   = each.key
  hostname               = each.key
  image_uuid             = data.steppe_image.image.uuid
  instance_offering_uuid = data.steppe_instance_offering.small.uuid
  network_uuids          = [data.steppe_network.flat.uuid]

  user_data = provider::steppe::cloud_config({
    groups      = ["operators"]
    users       = ["default", { name = "ada", groups = ["operators"] }]
    write_files = [{ path = "/etc/node", content = "${each.key} of ${length(local.nodes)}\n" }]
  })
  user_data_on_change = "update" # a fleet that grows restarts nobody
}

output "nodes" {
  value = { for name, vm in steppe_vm.node : name => { ip = vm.ip, host_uuid = vm.running_host_uuid } }
}
