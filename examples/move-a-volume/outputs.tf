output "vms" {
  description = "The VMs, one on each host."
  value = {
    for index, vm in steppe_vm.vm : vm.name => {
      uuid    = vm.uuid
      ip      = vm.ip
      mac     = vm.mac
      host_ip = steppe_host.host[index].management_ip
    }
  }
}

output "volume" {
  description = "The volume, the host that holds it, and where a guest finds it."
  value = {
    uuid        = steppe_volume.data.uuid
    host_uuid   = steppe_volume.data.running_host_uuid
    host_ip     = steppe_host.host[var.host_index].management_ip
    device_path = steppe_volume.data.device_path
  }
}

output "may_go_to" {
  description = "Hosts that could take the volume over, and for the others why not."
  value = {
    hosts    = [for host in data.steppe_volume_migratable_hosts.data.hosts : host.name]
    excluded = { for host in data.steppe_volume_migratable_hosts.data.excluded : host.name => host.reason }
  }
}

output "service_ip" {
  description = "Address at which DHCP and metadata answer on every host."
  value       = data.steppe_network.in_use.service_ip
}
