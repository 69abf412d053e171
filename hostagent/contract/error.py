"""Errors of the agent, by the one question that matters: who must act?"""

from enum import StrEnum

from hostagent.contract.base import Model


class ErrorClass(StrEnum):
    rejected = "rejected"  # the caller changes the request           (HTTP 422)
    temporary = "temporary"  # nobody: the same call later may succeed (HTTP 503)
    broken = "broken"  # an operator looks after the host              (HTTP 500)


class Problem(Model):
    """The body of every non-2xx answer. `code` is fixed and may be branched on; `message` may not.

    Codes: stale_generation, not_found, invalid_spec, in_use, no_space, checksum_mismatch, bad_image, unreachable,
    vlan_unsupported, interface_missing, libvirt, storage_path, tray_locked, no_drive, no_console, internal.
    """

    error_class: ErrorClass
    code: str
    message: str
    detail: str = ""


class HostError(Exception):
    """A `Problem` as an exception, raised inside the agent and by clients of it."""

    def __init__(self, error_class: ErrorClass, code: str, message: str, detail: str = "") -> None:
        super().__init__(message)
        self.problem = Problem(error_class=error_class, code=code, message=message, detail=detail)


def rejected(code: str, message: str, detail: str = "") -> HostError:
    return HostError(ErrorClass.rejected, code, message, detail)


def temporary(code: str, message: str, detail: str = "") -> HostError:
    return HostError(ErrorClass.temporary, code, message, detail)


def broken(code: str, message: str, detail: str = "") -> HostError:
    return HostError(ErrorClass.broken, code, message, detail)
