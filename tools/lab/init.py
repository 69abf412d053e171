"""Process 1 of a simulated host: gives it its own file system view, then reaps orphans until its lifeline ends.

Run as a program: `init.py DIRECTORY NAME`, inside fresh namespaces, with the lifeline as standard input. What a real host
keeps on its own disk (libvirt's state, the agent's, the guests' disks) is bind-mounted from DIRECTORY, which thus survives
a power cut; /run does not. Its end is a power cut: the kernel kills every process of the pid namespace.
"""

import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

# directory under the host's own → where the host sees it
DISKS = {
    "etc": "/etc/libvirt",
    "lib": "/var/lib/libvirt",
    "cache": "/var/cache/libvirt",
    "log": "/var/log/libvirt",
    "libvirt-run": "/run/libvirt",
    "agent": "/var/lib/steppe",
    "srv": "/srv",
}
# libvirt does not start without the user that Debian's libvirt-daemon-system makes, even where it runs guests as root.
USERS = {
    "passwd": "libvirt-qemu:x:64055:64055::/var/lib/libvirt:/usr/sbin/nologin",
    "group": "libvirt-qemu:x:64055:",
}


def mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


def furnish(directory: Path, name: str) -> None:
    mount("--make-rprivate", "/")
    mount("-t", "sysfs", "sysfs", "/sys")  # or /sys/class/net shows the machine's interfaces
    mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run")
    for path in ("/run/netns", "/run/lock", "/run/libvirt"):
        os.makedirs(path)
    for source, target in DISKS.items():
        os.makedirs(target, exist_ok=True)
        mount("--bind", str(directory / source), target)
    for file, line in USERS.items():
        known = Path("/etc", file).read_text()
        copy = Path("/run", file)
        copy.write_text(known if "libvirt-qemu:" in known else f"{known}{line}\n")
        mount("--bind", str(copy), f"/etc/{file}")
    socket.sethostname(name)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    # Every new network namespace hands bridged frames to iptables until told otherwise.
    for table in ("iptables", "ip6tables", "arptables"):
        switch = Path(f"/proc/sys/net/bridge/bridge-nf-call-{table}")
        if switch.exists():
            switch.write_text("0")


def end_with_lifeline() -> None:
    while os.read(0, 1):
        pass
    os._exit(0)


def main(directory: Path, name: str) -> None:
    furnish(directory, name)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD, signal.SIGTERM])
    threading.Thread(target=end_with_lifeline, daemon=True).start()
    (directory / "ready").touch()
    while signal.sigwait([signal.SIGCHLD, signal.SIGTERM]) == signal.SIGCHLD:
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            pass


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
