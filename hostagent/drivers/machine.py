"""What /proc says of this machine. libvirt's node info is not asked: it may count one NUMA node's memory only."""

import os
import re
import socket
from pathlib import Path

from hostagent.ports.machine import MachineFacts


class LinuxMachine:
    def facts(self) -> MachineFacts:
        return MachineFacts(socket.gethostname(), os.cpu_count() or 1, cpu_model(), memory_bytes())


def memory_bytes(meminfo: Path = Path("/proc/meminfo")) -> int:
    found = re.search(r"^MemTotal:\s+(\d+) kB$", meminfo.read_text(), re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def cpu_model(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    found = re.search(r"^model name\s*:\s*(.+)$", cpuinfo.read_text(), re.MULTILINE)
    return found[1].strip() if found else "unknown"
