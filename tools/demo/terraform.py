"""Terraform (or OpenTofu) on a copy of an example, as a user would run it."""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


class TerraformFailed(Exception):
    """Says the command and the end of what it printed."""


class Stack:
    """`folder` receives a copy of the example with `variables` and `overrides` (HCL that is merged over the example's)."""

    def __init__(
        self,
        example: Path,
        folder: Path,
        endpoint: str,
        password: str,
        variables: dict[str, Any],
        overrides: str = "",
    ) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        for source in (*example.glob("*.tf"), *example.glob("*.tf.json")):
            shutil.copy(source, folder)
        (folder / "terraform.tfvars.json").write_text(json.dumps(variables, indent=2))
        if overrides:
            (folder / "guest_override.tf").write_text(overrides)
        self._program = program()
        self._environment = {
            **os.environ,
            "TF_CLI_CONFIG_FILE": str(ROOT / "build/terraformrc"),
            "TF_IN_AUTOMATION": "1",
            "CHECKPOINT_DISABLE": "1",
            "STEPPE_ENDPOINT": endpoint,
            "STEPPE_PASSWORD": password,
        }

    def change(self, **variables: Any) -> None:
        """Other values for these variables, for the next plan."""
        path = self.folder / "terraform.tfvars.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | variables, indent=2))

    def init(self, show: Callable[[str], None] | None = None) -> None:
        self._run("init", "-input=false", show=show)

    def plan(self, show: Callable[[str], None] | None = None) -> bool:
        """True when there is something to do."""
        status = self._run("plan", "-input=false", "-detailed-exitcode", show=show, accept=(0, 2))
        return status == 2

    def apply(self, show: Callable[[str], None] | None = None) -> None:
        self._run("apply", "-input=false", "-auto-approve", show=show)

    def destroy(self, show: Callable[[str], None] | None = None) -> None:
        self._run("destroy", "-input=false", "-auto-approve", show=show)

    def outputs(self) -> dict[str, Any]:
        said = subprocess.run(
            [self._program, "output", "-json"], cwd=self.folder, env=self._environment, capture_output=True, check=True
        ).stdout
        return {name: output["value"] for name, output in json.loads(said).items()}

    def _run(self, *command: str, show: Callable[[str], None] | None = None, accept: tuple[int, ...] = (0,)) -> int:
        lines: list[str] = []
        with subprocess.Popen(
            [self._program, command[0], "-no-color", *command[1:]],
            cwd=self.folder, env=self._environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        ) as process:  # fmt: skip
            assert process.stdout
            try:
                for line in process.stdout:
                    lines.append(line.rstrip())
                    if show and line.strip():
                        show(line.rstrip())
            except KeyboardInterrupt:
                process.send_signal(signal.SIGINT)
                process.wait()
                raise
        if process.returncode not in accept:
            tail = "\n".join(line for line in lines[-60:] if line.strip())
            raise TerraformFailed(f"terraform {command[0]} ended with {process.returncode}:\n{tail}")
        return process.returncode


def program() -> str:
    """The binary. `LookupError` says what to do when there is none."""
    for name in ("terraform", "tofu"):
        if path := shutil.which(name):
            return path
    raise LookupError("neither terraform nor tofu is installed: put one of the binaries into /usr/local/bin")
