"""An ISO that installs: it boots the tiny guest's kernel, writes a system to the empty first disk, and reboots by itself.

What it writes is the nano guest's boot sector, so the installed system says on the serial line that it was booted from disk.
"""

import shutil
from pathlib import Path

from tools.guests import kernel, nano, packages
from tools.guests.cache import Image
from tools.guests.program import run

INSTALLING, INSTALLED = "INSTALLING TO", "INSTALLED, REBOOTING"
_MODULES = ("virtio_pci", "virtio_blk")
_OPTIONS = f"console=ttyS0,115200 panic=5 rdinit=/init {kernel.FAST}"
_INIT = f"""\
#!/bin/sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox --install -s /bin
export PATH=/bin
exec </dev/console >/dev/console 2>&1
while read -r module; do insmod "$module"; done </modules.list
while ! [ -b /dev/vda ]; do usleep 100000; done
echo "{INSTALLING} /dev/vda of $(($(cat /sys/block/vda/size) * 512)) bytes, sector 0 is $(head -c512 /dev/vda | md5sum)"
dd if=/system.img of=/dev/vda bs=512 conv=fsync 2>/dev/null
sync
echo "{INSTALLED}"
sleep 1
reboot -f
"""


def _ram_disk(work: Path) -> tuple[kernel.Kernel, Path]:
    parts, root = work / "parts", work / "root"
    packages.unpack((packages.cloud_kernel(), "busybox-static"), work / "debs", parts)
    for name in ("bin", "dev", "proc", "sys"):
        (root / name).mkdir(parents=True)
    guest_kernel = kernel.Kernel(parts)
    guest_kernel.install_modules(_MODULES, root)
    shutil.copy(parts / "bin/busybox", root / "bin/busybox")
    (root / "bin/sh").symlink_to("busybox")
    (root / "system.img").write_bytes(nano.boot_sector("NANO BOOTED FROM DISK"))
    (root / "init").write_text(_INIT)
    (root / "init").chmod(0o755)
    kernel.pack(root, work / "initrd")
    return guest_kernel, work / "initrd"


def _build(work: Path, out: Path) -> None:
    guest_kernel, ram_disk = _ram_disk(work)
    tree = work / "tree"
    tree.mkdir()
    shutil.copy(guest_kernel.image, tree / "vmlinuz")
    shutil.copy(ram_disk, tree / "initrd")
    shutil.copy("/usr/lib/ISOLINUX/isolinux.bin", tree)
    shutil.copy("/usr/lib/syslinux/modules/bios/ldlinux.c32", tree)
    entry = f"LABEL install\n KERNEL /vmlinuz\n APPEND initrd=/initrd {_OPTIONS}\n"
    (tree / "isolinux.cfg").write_text(f"SERIAL 0 115200\nDEFAULT install\nPROMPT 0\n{entry}")
    boot = ("-b", "isolinux.bin", "-c", "boot.cat", "-no-emul-boot", "-boot-load-size", "4", "-boot-info-table")
    run("xorriso", "-as", "mkisofs", "-quiet", "-V", "INSTALLER", "-J", "-R", "-o", out, *boot, tree)


ISO = Image(
    "installer", ".iso", ("installer.py", "kernel.py", "nano.py"), ("linux-image-cloud-amd64", "busybox-static"), _build
)
