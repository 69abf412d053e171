# Tags on what exists already, and what can be asked about it.

terraform {
  required_providers {
    steppe = { source = "terraform.local/steppe/steppe" }
  }
}

provider "steppe" {
  default_tags = ["made by::terraform"]
}

variable "vm_name" {
  type = string
}

variable "ssh_public_key" {
  type = string
}

data "steppe_vm" "vm" {
  name = var.vm_name
}

resource "steppe_system_tag" "key" {
  resource_uuid = data.steppe_vm.vm.uuid
  resource_type = "VmInstanceVO"
  tag           = "sshkey::${var.ssh_public_key}"
}

resource "steppe_user_tag" "team" {
  resource_uuid = data.steppe_vm.vm.uuid
  resource_type = "VmInstanceVO"
  tag           = "team::blue"
}

data "steppe_vms" "running" {
  name_pattern = "${var.vm_name}%"
  conditions   = ["state=Running"]
}

data "steppe_system_tags" "keys" {
  conditions = ["resourceUuid=${data.steppe_vm.vm.uuid}", "tag~=sshkey::%"]
  depends_on = [steppe_system_tag.key]
}

data "steppe_user_tags" "teams" {
  conditions = ["tag~=team::%"]
  depends_on = [steppe_user_tag.team]
}

data "steppe_query" "blue" {
  resource   = "VmInstance"
  conditions = ["__userTag__=team::blue"]
  fields     = ["uuid", "name"]
  sort       = "-createDate"
  depends_on = [steppe_user_tag.team]
}

output "blue" {
  value = jsondecode(data.steppe_query.blue.json)
}
