output "vm" {
  description = "The VM, its CPU, its media, and where its screen is."
  value = {
    uuid    = steppe_vm.vm.uuid
    cpu     = "${steppe_vm.vm.running_cpu_mode} (${steppe_vm.vm.running_cpu_model})"
    console = "${data.steppe_console_address.vm.protocol}://${data.steppe_console_address.vm.host_ip}:${data.steppe_console_address.vm.port}"
    media   = steppe_vm.vm.attached_iso_uuids
  }
}
