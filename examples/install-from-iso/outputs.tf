output "vm" {
  description = "The VM, what it boots from next, and where its screen is."
  value = {
    uuid              = steppe_vm.vm.uuid
    next_boot         = steppe_vm.vm.next_boot_order
    cpu               = "${steppe_vm.vm.running_cpu_mode} (${steppe_vm.vm.running_cpu_model})"
    console           = "${data.steppe_console_address.vm.protocol}://${data.steppe_console_address.vm.host_ip}:${data.steppe_console_address.vm.port}"
    media             = steppe_vm.vm.attached_iso_uuids
    waits_for_restart = steppe_vm.vm.restart_required
  }
}
