"""One process per host that answers DHCP, metadata and `data-server` for all its networks (`python -m hostagent.netservice`).

It outlives the agent and needs nobody: the last snapshot is on its disk, so guests are served while the agent or the
control plane is away. The agent makes links and guard, then hands it the snapshot through a Unix socket in a directory
of mode 0700; the answer comes when the sockets listen.
"""
