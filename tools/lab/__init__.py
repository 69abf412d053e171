"""Simulated KVM hosts on one machine: everything is real (kernel networking, libvirtd, QEMU, disks) but the metal.

A host is a set of pid, mount, network, UTS and IPC namespaces with its own libvirtd. Two cables lead from each host into
the underlay, a network namespace with one bridge each: `eth0` for management (10.99.0.0/24), `eth1` for guests.
Nothing outlives the process that made the lab, whatever kills it. Needs root, unshare, nsenter, ip, libvirtd and QEMU.
"""

from tools.lab.host import Host
from tools.lab.lab import Lab
from tools.lab.namespace import Holder, Program, in_network_of, wait_until

__all__ = ["Holder", "Host", "Lab", "Program", "in_network_of", "wait_until"]
