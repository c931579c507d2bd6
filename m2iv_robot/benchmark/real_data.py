"""Where benchmarks find recordings of real robots."""

import os
from pathlib import Path

from m2iv_robot.errors import DatasetError

DATA_VARIABLE = "M2IV_DATA"


def real_dataset(data: str, name: str) -> Path:
    """The folder of a real dataset below `data`, else below $M2IV_DATA, else beside the checkout.

    Raises:
        DatasetError: it is not there.
    """
    beside = Path(__file__).resolve().parents[3] / "shared" / "data"
    root = Path(data or os.environ.get(DATA_VARIABLE, "") or beside) / name
    if not (root / "meta" / "info.json").is_file():
        raise DatasetError(f"{root}: no dataset there; set {DATA_VARIABLE} or benchmark.data=FOLDER, or leave it out")
    return root
