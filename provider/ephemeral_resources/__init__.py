"""Ephemeral resources: what a command needs while it runs, and what no state may keep."""

from provider.ephemeral_resources.console_access import ConsoleAccess

__all__ = ["ConsoleAccess"]
