"""Ephemeral resources: what a command needs while it runs, and what no state may keep."""

from provider.ephemeral_resources.access_key import EphemeralAccessKey
from provider.ephemeral_resources.console_access import ConsoleAccess
from provider.ephemeral_resources.console_password import ConsolePassword
from provider.ephemeral_resources.enrollment_token import EnrollmentToken
from provider.framework.resource import EphemeralResource

ALL: tuple[EphemeralResource, ...] = (ConsoleAccess(), ConsolePassword(), EnrollmentToken(), EphemeralAccessKey())

__all__ = ["ALL"]
