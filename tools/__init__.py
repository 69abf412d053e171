"""What builds, runs and shows Steppe on one machine: set-up, guest images, simulated hosts, the demo."""
