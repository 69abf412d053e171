"""Runs the programs that builders use; what a failed one said becomes the error."""

import os
import subprocess
from pathlib import Path


def run(
    *command: str | Path, cwd: Path | None = None, stdin: bytes | None = None, scratch: Path | None = None
) -> bytes:
    """Standard output of the command; `RuntimeError` with the end of its standard error when it fails."""
    environment = {**os.environ, "LC_ALL": "C", **({"TMPDIR": str(scratch)} if scratch else {})}
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, input=stdin, capture_output=True, env=environment, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed: {done.stderr.decode(errors='replace')[-2000:].strip()}")
    return done.stdout
