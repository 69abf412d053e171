variable "host_ips" {
  description = "Management addresses of the KVM hosts; their agents have enrolled."
  type        = list(string)
}

variable "image_url" {
  description = "Where the guest image comes from: http://, https:// or file:// (on the control plane)."
  type        = string
}

variable "image_format" {
  description = "qcow2 or raw."
  type        = string
  default     = "qcow2"
}

variable "image_sha256" {
  description = "Checksum that the image must have; null: not checked."
  type        = string
  default     = null
}

variable "ssh_public_key" {
  description = "Key with which one may log in as foobar."
  type        = string
}

variable "physical_interface" {
  description = "Interface of the hosts that carries the guests' network."
  type        = string
  default     = "eth1"
}

variable "storage_path" {
  description = "Directory on each host for the VMs' disks."
  type        = string
  default     = "/var/lib/steppe/storage"
}

variable "network_cidr" {
  description = "The guests' network; addresses 10 to 200 are given out, the first is the router."
  type        = string
  default     = "10.20.0.0/24"
}

variable "dns" {
  description = "DNS servers of the guests."
  type        = list(string)
  default     = ["10.20.0.1"]
}

variable "memory_mib" {
  description = "Memory of each VM, in MiB."
  type        = number
  default     = 512
}

variable "host_index" {
  description = "On which of the hosts the volume shall be, counted from 0."
  type        = number
  default     = 0
}

variable "attached" {
  description = "Whether the VM on that host has the volume. To move it, detach it first."
  type        = bool
  default     = true
}

variable "snapshots" {
  description = "Names of the snapshots of the volume; a new name takes one now."
  type        = list(string)
  default     = []
}

variable "volume_mib" {
  description = "Size of the volume, in MiB; it can grow."
  type        = number
  default     = 1024
}

variable "protected" {
  description = "Whether Terraform refuses to destroy the volume."
  type        = bool
  default     = false
}
