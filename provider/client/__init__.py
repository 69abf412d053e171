"""The control plane seen from the provider: its REST wire, sessions and jobs. Standard library only: it starts fast."""
