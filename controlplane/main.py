"""Entry point; see docs/architecture.md."""
