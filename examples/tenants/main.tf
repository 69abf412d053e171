# A team with an account of its own: what it may have, what it may use, and a key for its pipeline.

terraform {
  required_version = ">= 1.11" # write-only arguments
  required_providers {
    steppe = { source = "terraform.local/steppe/steppe" }
  }
}

variable "team" {
  type    = string
  default = "blue"
}

variable "password" {
  type      = string
  sensitive = true
  ephemeral = true
}

resource "steppe_account" "team" {
  name                = var.team
  description         = "Team ${var.team}"
  password_wo         = var.password
  password_wo_version = 1 # another number sends the password again
}

resource "steppe_quota" "cpus" {
  account_uuid = steppe_account.team.uuid
  name         = "vm.cpuNum"
  value        = 16
}

resource "steppe_instance_offering" "small" {
  name        = "small"
  cpu_num     = 1
  memory_size = 512 * 1024 * 1024
}

resource "steppe_resource_share" "small" {
  resource_uuid = steppe_instance_offering.small.uuid
  account_uuids = [steppe_account.team.uuid]
}

# The secret is in this file only: `credentials_file = "blue.toml"` in the provider block of the team's own stack.
resource "steppe_access_key" "pipeline" {
  account_uuid     = steppe_account.team.uuid
  description      = "pipeline of ${var.team}"
  credentials_file = "${path.root}/${var.team}.toml"
}

# A key that lives as long as this command, to look at the cloud with the team's eyes.
ephemeral "steppe_access_key" "team" {
  account_uuid = steppe_account.team.uuid
  description  = "terraform, for one command"
}

data "steppe_quotas" "team" {
  conditions = ["identityUuid=${steppe_account.team.uuid}"]
  depends_on = [steppe_quota.cpus]
}

data "steppe_shared_resources" "small" {
  conditions = ["resourceUuid=${steppe_resource_share.small.resource_uuid}"]
}

data "steppe_resource_owners" "small" {
  conditions = ["resourceUuid=${steppe_instance_offering.small.uuid}"]
}

data "steppe_global_configs" "sessions" {
  conditions = ["category=identity"]
}

data "steppe_network_services" "dhcp" {
  conditions = ["networkServiceType=DHCP"]
}

output "quotas" {
  value = { for one in data.steppe_quotas.team.quotas : one.name => one.value }
}

output "shared_with" {
  value = data.steppe_shared_resources.small.shared_resources[*].receiver_uuid
}

output "owner" {
  value = one(data.steppe_resource_owners.small.resource_owners).account_uuid
}
