"""A cloud to point clients at: real control plane and real host agents over simulated drivers, as processes."""
