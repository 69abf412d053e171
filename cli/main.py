"""The `steppe` command; see docs/architecture.md."""
