"""A host in memory: the real agent over simulated ports, with failures on demand.

    agent, host = hostagent.sim.agent("host1", cpu_num=32)
    host.fail("vm.put", temporary("libvirt", "gone"))      # the call fails before it does anything
    host.lose_reply("volume.put")                          # the work is done, the caller is not told
    host.delay("hypervisor.start", 0.5)
    before = host.snapshot()

Names of calls are `<resource>.<method>` of the API (`vm.put`, `image.delete`, `network.put`) and `<port>.<method>` of
the ports below it (`hypervisor.start`, `disks.create`, `downloads.fetch`); `*` and `?` match as in file names.
"""

from hostagent.sim.faults import Faults
from hostagent.sim.host import SimHost, agent

__all__ = ["Faults", "SimHost", "agent"]
