"""The Debian guest: Debian 12 with systemd, cloud-init (CloudStack as its only source), openssh-server, guest agent.

A stock system but for what makes it boot in 45 s instead of 75 s under emulation: an initial RAM disk of 1 MB without
udev, fewer cloud-init modules, and no timers, tty or binfmt units. systemd-logind stays: it answers the power button.
"""

import shutil
from pathlib import Path

from tools.guests import disk, kernel, packages
from tools.guests.cache import Image
from tools.guests.program import run

_FILES = Path(__file__).parent / "files"
_PACKAGES = (
    *("systemd-sysv", "dbus", "udev", "kmod", "netbase", "iproute2", "iputils-ping", "isc-dhcp-client", "ifupdown"),
    *("openssh-server", "cloud-init", "cloud-guest-utils", "e2fsprogs", "qemu-guest-agent"),
    *("ca-certificates", "sudo", "wget"),
)
_OPTIONS = f"root=/dev/vda1 rw console=tty0 console=ttyS0,115200 net.ifnames=0 {kernel.FAST}"
_ROOT_DISK_MODULES = ("virtio_pci", "virtio_blk", "virtio_scsi", "sd_mod", "crc32c_generic")
_MASKED = """
    apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer
    getty@tty1.service ldconfig.service kmod-static-nodes.service systemd-pstore.service systemd-timesyncd.service
    systemd-random-seed.service systemd-machine-id-commit.service systemd-update-utmp.service systemd-binfmt.service
    systemd-update-utmp-runlevel.service systemd-sysctl.service systemd-fsck-root.service systemd-journal-flush.service
    systemd-modules-load.service systemd-boot-system-token.service systemd-ask-password-console.path
    systemd-ask-password-wall.path cloud-init-hotplugd.socket modprobe@configfs.service modprobe@dm_mod.service
    modprobe@drm.service modprobe@efi_pstore.service modprobe@fuse.service modprobe@loop.service dev-hugepages.mount
    dev-mqueue.mount proc-sys-fs-binfmt_misc.automount proc-sys-fs-binfmt_misc.mount sys-fs-fuse-connections.mount
    sys-kernel-config.mount sys-kernel-debug.mount sys-kernel-tracing.mount
""".split()  # noqa: SIM905 - a list of words is easier to change
_TEXTS = {
    "etc/cloud/cloud.cfg.d/90_dpkg.cfg": "datasource_list: [ CloudStack ]\n",
    "etc/cloud/ds-identify.cfg": "policy: enabled\ndatasource: CloudStack\n",
    "etc/cloud/cloud.cfg.d/95_steppe.cfg": """\
datasource:
  CloudStack:
    max_wait: 120
    timeout: 10
disable_root: true
manage_etc_hosts: localhost
ssh_deletekeys: true
ssh_genkeytypes: [ed25519]
apt_preserve_sources_list: true
package_update: false
resize_rootfs: noblock
cloud_init_modules: [seed_random, bootcmd, write-files, growpart, resizefs, disk_setup, mounts, set_hostname,
  update_hostname, update_etc_hosts, users-groups, ssh]
cloud_config_modules: [set-passwords, runcmd]
cloud_final_modules: [scripts-per-once, scripts-per-boot, scripts-per-instance, scripts-user, final-message]
output: {all: '| tee -a /var/log/cloud-init-output.log'}
""",
    "etc/fstab": "/dev/vda1 / ext4 rw,noatime,commit=60 0 0\n",
    "etc/hostname": "debian\n",
    "etc/machine-id": "",  # one per guest, made at its first boot
    "etc/network/interfaces": "auto lo\niface lo inet loopback\nsource /etc/network/interfaces.d/*\n",
    "etc/ssh/sshd_config.d/steppe.conf": "PermitRootLogin prohibit-password\nUseDNS no\n",
    "etc/systemd/journald.conf.d/steppe.conf": "[Journal]\nStorage=volatile\n",
}


def _system(root: Path, work: Path) -> None:
    excluded: list[str | Path] = [
        f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("doc", "man", "locale", "info")
    ]
    run(
        *(
            "mmdebstrap",
            "--quiet",
            "--variant=minbase",
            *excluded,
            f"--include={','.join(_PACKAGES)}",
            "bookworm",
            root,
        ),
        scratch=work,
    )
    for name, text in _TEXTS.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for unit in _MASKED:
        link = root / "etc/systemd/system" / unit
        link.unlink(missing_ok=True)
        link.symlink_to("/dev/null")
    session = root / "etc/pam.d/common-session"  # a session per log-in costs a second under emulation
    session.write_text("".join(line for line in session.read_text().splitlines(True) if "pam_systemd" not in line))
    for key in (root / "etc/ssh").glob("ssh_host_*"):
        key.unlink()
    for name in ("var/lib/apt/lists", "var/cache/apt"):
        shutil.rmtree(root / name, ignore_errors=True)


def _kernel(root: Path, work: Path) -> None:
    """Kernel, its modules, and the small initial RAM disk."""
    parts = work / "parts"
    packages.unpack((packages.cloud_kernel(), "busybox-static"), work / "debs", parts)
    guest_kernel = kernel.Kernel(parts)
    target = root / "lib/modules" / guest_kernel.release
    shutil.copytree(guest_kernel.modules / "kernel", target / "kernel")
    for name in ("modules.builtin", "modules.builtin.modinfo", "modules.order"):
        shutil.copy(guest_kernel.modules / name, target)
    run("depmod", "--basedir", root, guest_kernel.release)
    shutil.copy(guest_kernel.image, root / "boot/vmlinuz")
    ram_disk = work / "ram"
    for name in ("bin", "dev", "proc", "root"):
        (ram_disk / name).mkdir(parents=True)
    shutil.copy(parts / "bin/busybox", ram_disk / "bin/busybox")
    (ram_disk / "bin/sh").symlink_to("busybox")
    shutil.copy(_FILES / "debian_init.sh", ram_disk / "init")
    (ram_disk / "init").chmod(0o755)
    guest_kernel.install_modules(_ROOT_DISK_MODULES, ram_disk)
    kernel.pack(ram_disk, root / "boot/initrd")


def _build(work: Path, out: Path) -> None:
    root = work / "root"
    _system(root, work)
    _kernel(root, work)
    disk.bootable(root, "/boot/vmlinuz", "/boot/initrd", _OPTIONS, "debroot", 2048, out, compress=True)


_SOURCES = ("debian.py", "kernel.py", "disk.py", "files/debian_init.sh")
DISK = Image("debian", ".qcow2", _SOURCES, ("linux-image-cloud-amd64", "busybox-static", *_PACKAGES), _build)
