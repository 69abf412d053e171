"""The guests that may play the part of the VMs in the example, and what to expect inside each."""

from dataclasses import dataclass

from tools.guests import debian, tiny
from tools.guests.cache import Image

_SCRIPT = """\
resource "steppe_vm" "vm" {
  user_data = <<-SCRIPT
    #!/bin/sh
    echo 'foobar:x:1000:1000::/home/foobar:/bin/sh' >>/etc/passwd
    echo 'foobar:*:19000:0:99999:7:::' >>/etc/shadow
    printf 'foobar:x:1000:\\ncloud-users:x:1001:foobar\\n' >>/etc/group
    mkdir -p /home/foobar/.ssh
    echo '${var.ssh_public_key}' >/home/foobar/.ssh/authorized_keys
    chmod 700 /home/foobar /home/foobar/.ssh
    chown -R foobar:foobar /home/foobar
  SCRIPT
}
"""


@dataclass(frozen=True)
class Guest:
    """`boot` is how long it may take until one can log in, in seconds, with two of them on two busy cores."""

    name: str
    image: Image
    memory_mib: int
    boot: int
    finished: str  # a command that waits until the guest's set-up is done, and fails when it went wrong
    lease: str  # a command that prints which server gave the lease
    overrides: str = ""


DEBIAN = Guest(
    "debian",
    debian.DISK,
    512,
    300,
    "cloud-init status --wait --long",
    "grep -h dhcp-server-identifier /var/lib/dhcp/*.leases | tail -n1",
)
TINY = Guest("tiny", tiny.DISK, 256, 120, "true", "cat /run/server.eth0", overrides=_SCRIPT)
BY_NAME = {guest.name: guest for guest in (DEBIAN, TINY)}
