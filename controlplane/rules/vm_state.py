"""The states of a VM and what may be done in each (pure)."""

from controlplane.contract.error import ApiError, ErrorCode

CREATED, STARTING, RUNNING, STOPPING, STOPPED = "Created", "Starting", "Running", "Stopping", "Stopped"
REBOOTING, DESTROYING, DESTROYED, EXPUNGING, UNKNOWN = "Rebooting", "Destroying", "Destroyed", "Expunging", "Unknown"
MIGRATING = "Migrating"

_EXCEPT_GONE = frozenset({STARTING, RUNNING, STOPPING, STOPPED, REBOOTING, DESTROYING, UNKNOWN, MIGRATING, "Error"})
_SETTLED = frozenset({RUNNING, STOPPED})
# API → (states in which it is allowed, code of the refusal)
_RULES: dict[str, tuple[frozenset[str], str]] = {
    "StartVmInstance": (frozenset({STOPPED}), "VM.1001"),
    "StopVmInstance": (frozenset({RUNNING, STOPPED, UNKNOWN}), "VM.1002"),
    "RebootVmInstance": (frozenset({RUNNING}), "VM.1003"),
    "DestroyVmInstance": (_EXCEPT_GONE, "VM.1004"),
    "RecoverVmInstance": (frozenset({DESTROYED}), "SYS.1006"),
    "ExpungeVmInstance": (frozenset({DESTROYED}), "SYS.1006"),
    "AttachDataVolumeToVm": (_SETTLED, "VM.1005"),
    "DetachDataVolumeFromVm": (_SETTLED, "VM.1006"),
    "ChangeInstanceOffering": (_SETTLED, "SYS.1006"),
    "AttachL3NetworkToVm": (_SETTLED, "SYS.1006"),
    "DetachL3NetworkFromVm": (_SETTLED, "SYS.1006"),
    "ResizeRootVolume": (_SETTLED, "SYS.1006"),
    "ResizeDataVolume": (_SETTLED, "SYS.1006"),
    "CreateVolumeSnapshot": (_SETTLED, "SYS.1006"),
    "DeleteVolumeSnapshot": (_SETTLED, "SYS.1006"),
    "RevertVolumeFromSnapshot": (frozenset({STOPPED}), "SYS.1006"),
    "MigrateVm": (frozenset({RUNNING}), "VM.1008"),
    "RerunCloudInit": (_EXCEPT_GONE | {CREATED}, "SYS.1006"),
    "CreateRootVolumeTemplateFromRootVolume": (frozenset({STOPPED}), "SYS.1006"),
    "CreateDataVolumeTemplateFromVolume": (frozenset({STOPPED}), "SYS.1006"),
    "AttachIsoToVmInstance": (frozenset({RUNNING, STOPPED}), "SYS.1006"),
    "DetachIsoFromVmInstance": (frozenset({RUNNING, STOPPED}), "SYS.1006"),
    "GetVmConsoleAddress": (frozenset({RUNNING}), "SYS.1006"),
    "RequestConsoleAccess": (frozenset({RUNNING}), "SYS.1006"),
    "GetVmScreenshot": (frozenset({RUNNING}), "SYS.1006"),
}


def must_allow(api_name: str, vm_uuid: str, state: str) -> None:
    """Raises the refusal of the reference: an outer code by API, its cause VM.1010."""
    allowed, code = _RULES[api_name]
    if state not in allowed:
        words = ", ".join(sorted(allowed))
        detail = f"VM {vm_uuid} is {state}; {api_name} is allowed when it is {words}"
        cause = ErrorCode(code="VM.1010", description="the VM is not in a state that allows this", details=detail)
        raise ApiError(code, f"{api_name} is not possible now: the VM is {state}", cause)
