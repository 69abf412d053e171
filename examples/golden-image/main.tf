# A golden image: a VM that cloud-init prepares and that calls when it is done, all its disks taken at that instant, an image
# made from them, and further VMs from the image. `ready` false at first, true for the image.

terraform {
  required_version = ">= 1.10" # ephemeral resources
  required_providers {
    steppe = { source = "terraform.local/steppe/steppe" }
  }
}

variable "image_uuid" {
  type = string
}

variable "network_uuid" {
  type = string
}

variable "instance_offering_uuid" {
  type = string
}

variable "wait_for" {
  type    = string
  default = "cloud_init"
}

variable "copies" {
  type    = number
  default = 2
}

resource "steppe_vm" "builder" {
  name                   = "builder"
  image_uuid             = var.image_uuid
  instance_offering_uuid = var.instance_offering_uuid
  network_uuids          = [var.network_uuid]
  wait_for               = var.wait_for
  wait_timeout           = "15m"

  user_data = <<-YAML
    #cloud-config
    packages: [nginx]
    phone_home:
      url: http://169.254.169.254/phone-home
      post: [instance_id]
  YAML
}

# Taken while the VM runs, once its cloud-init has called.
resource "steppe_volume_snapshot_group" "prepared" {
  name             = "prepared"
  root_volume_uuid = steppe_vm.builder.root_volume_uuid
}

data "steppe_volume_snapshot_trees" "builder" {
  volume_uuid = steppe_vm.builder.root_volume_uuid
  depends_on  = [steppe_volume_snapshot_group.prepared]
}

# In every image store of the zone. The builder may be destroyed afterwards: the image stays as it is.
resource "steppe_image" "golden" {
  name          = "golden"
  description   = "nginx, made by the builder"
  snapshot_uuid = steppe_volume_snapshot_group.prepared.snapshots[0].uuid
}

resource "steppe_vm" "web" {
  count                  = var.copies
  name                   = "web-${count.index + 1}"
  image_uuid             = steppe_image.golden.uuid
  instance_offering_uuid = var.instance_offering_uuid
  network_uuids          = [var.network_uuid]
}

data "steppe_vm_boot_order" "web" {
  vm_uuid = steppe_vm.builder.uuid
}

# Never in a state: the password of the builder's own VNC port, and a token for one more host.
ephemeral "steppe_console_password" "builder" {
  vm_uuid = steppe_vm.builder.uuid
}

ephemeral "steppe_host_enrollment_token" "next" {
  management_ip = "10.0.0.13"
}

output "snapshots" {
  value = steppe_volume_snapshot_group.prepared.snapshot_count
}

output "depths" {
  value = data.steppe_volume_snapshot_trees.builder.trees[*].snapshots[*].depth
}

output "boots_from" {
  value = data.steppe_vm_boot_order.web.boot_order
}
