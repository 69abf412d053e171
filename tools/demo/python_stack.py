"""The demo's part in Python: `examples/python-one-vm` beside the stack in HCL, from its program to the end of its VM."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tools.build_bindings.__main__ import build
from tools.demo.proof import NotProven
from tools.demo.terraform import ROOT, Stack

EXAMPLE = ROOT / "examples" / "python-one-vm"


def prove(folder: Path, endpoint: str, password: str, show: Callable[[str], None] | None) -> str:
    """Synthesize, apply, plan, destroy; what was proven, as a sentence."""
    if shutil.which("node") is None:
        raise NotProven("a stack in Python needs node in the path, and there is none")
    build(folder / "bindings")
    program = folder / "program"
    shutil.copytree(EXAMPLE, program)
    settings = os.environ | {"PYTHONPATH": str(folder / "bindings" / "cdktf"), "CDKTF_OUTDIR": str(folder / "out")}
    done = subprocess.run(
        [sys.executable, "main.py"], cwd=program, env=settings, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise NotProven(f"the program should write the stack; it said:\n{done.stderr[-2000:]}")
    stack = Stack(folder / "out" / "stacks" / "one-vm", folder / "stack", endpoint, password, {})
    stack.init(show)
    stack.apply(show)
    if stack.plan():
        raise NotProven("a second plan of the stack in Python should be empty")
    ip = stack.outputs()["ip"]
    stack.destroy(show)
    return f"a stack in Python made one VM more ({ip}), a second plan of it is empty, and it is gone again"
