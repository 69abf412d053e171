variable "host_ip" {
  description = "Management address of the KVM host; its agent has enrolled."
  type        = string
}

variable "iso_url" {
  description = "Where the installation medium comes from: http://, https:// or file:// (on the control plane)."
  type        = string
}

variable "installed" {
  description = "Say true when the installation is done: the ISO leaves the drive."
  type        = bool
  default     = false
}

variable "disk_gib" {
  description = "Size of the empty disk, in GiB."
  type        = number
  default     = 20
}

variable "memory_mib" {
  description = "Memory of the VM, in MiB."
  type        = number
  default     = 1024
}

variable "physical_interface" {
  description = "Interface of the host that carries the guests' network."
  type        = string
  default     = "eth1"
}

variable "storage_path" {
  description = "Directory on the host for the VMs' disks."
  type        = string
  default     = "/var/lib/steppe/storage"
}

variable "network_cidr" {
  description = "The guests' network."
  type        = string
  default     = "10.20.0.0/24"
}

variable "open_console" {
  description = "A shell command that opens $URL, the console's page, e.g. `xdg-open \"$URL\"`; null for none."
  type        = string
  default     = null
}
