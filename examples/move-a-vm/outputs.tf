output "vms" {
  description = "Where the VM is."
  value = {
    (steppe_vm.vm.name) = {
      uuid      = steppe_vm.vm.uuid
      ip        = steppe_vm.vm.ip
      mac       = steppe_vm.vm.mac
      host_uuid = steppe_vm.vm.running_host_uuid
      host_ip   = steppe_host.host[var.host_index].management_ip
    }
  }
}

output "service_ip" {
  description = "Address at which DHCP and metadata answer on every host."
  value       = data.steppe_network.in_use.service_ip
}
