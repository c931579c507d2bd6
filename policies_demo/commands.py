"""Other programs, run with a log, so that each step of the proof is a command that anyone can type."""

import json
import logging
import os
import shlex
import subprocess
import time
from pathlib import Path

from m2iv_robot.errors import M2IVError

TAIL_LINES = 12

logger = logging.getLogger(__name__)


def run_for(result: Path, command: list[str], log: Path, threads: int = 1) -> None:
    """`run_logged` a command of this package unless `result` is there; it may fail for single episodes.

    Raises:
        M2IVError: it failed and made no `result`.
    """
    if result.is_file():
        return
    try:
        run_logged(command, log, threads)
    except M2IVError as error:
        if not result.is_file():
            raise
        logger.warning("%s", error)


def run_logged(command: list[str], log: Path, threads: int = 1) -> None:
    """Run a command to its end; output goes to `log`, the command and its seconds to a JSON file beside it.

    The seconds of runs that were stopped and went on later are added up.

    Raises:
        M2IVError: it failed; the message ends with its last lines.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    record = log.with_suffix(".json")
    before = json.loads(record.read_text())["seconds"] if record.is_file() else 0.0
    threading = {"OMP_NUM_THREADS": str(threads), "TOKENIZERS_PARALLELISM": "false"}
    environment = os.environ | threading | {"HF_HUB_OFFLINE": os.environ.get("HF_HUB_OFFLINE", "1")}
    started = time.perf_counter()
    with open(log, "ab") as output:
        status = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, env=environment, check=False)
    seconds = before + time.perf_counter() - started
    record.write_text(json.dumps({"command": shlex.join(command), "seconds": round(seconds, 1)}, indent=1) + "\n")
    if status.returncode:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-TAIL_LINES:])
        raise M2IVError(f"{shlex.join(command)}\nended with status {status.returncode}; its log is {log}:\n{tail}")


def note_of(log: Path) -> dict:
    """What `run_logged` noted of a command that ended: `command` and `seconds`."""
    record = log.with_suffix(".json")
    return json.loads(record.read_text()) if record.is_file() else {}
