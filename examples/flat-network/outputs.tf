output "vms" {
  description = "Where the VMs are."
  value = {
    for index, vm in steppe_vm.vm : vm.name => {
      uuid      = vm.uuid
      ip        = vm.ip
      mac       = vm.mac
      host_uuid = vm.running_host_uuid
      host_ip   = steppe_host.host[index].management_ip
    }
  }
}

output "network_uuid" {
  value = steppe_network.flat.uuid
}

output "service_ip" {
  description = "Address at which DHCP and metadata answer on every host."
  value       = data.steppe_network.in_use.service_ip
}
