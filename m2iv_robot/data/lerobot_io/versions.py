"""Where a dataset really lies: the hub's local copy, and converted copies of older versions."""

import hashlib
import json
import os
import shutil
from pathlib import Path

from m2iv_robot.data.lerobot_io.upgrade import upgrade_to_2_1
from m2iv_robot.errors import DatasetError


def hub_root(repo_id: str, cache_folder: str) -> Path:
    """The local folder of a hub dataset, downloaded by LeRobot where it is not there yet.

    Raises:
        DatasetError: the hub cannot be reached or has no such dataset.
    """
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled
    from lerobot.datasets.lerobot_dataset import LeRobotDataset
    from lerobot.datasets.utils import BackwardCompatibilityError, ForwardCompatibilityError

    try:
        return Path(LeRobotDataset(repo_id, video_backend="pyav").root)
    except BackwardCompatibilityError:
        return _convert(repo_id, None, cache_root(cache_folder) / repo_id.replace("/", "--"))
    except ForwardCompatibilityError as error:
        raise DatasetError(f"{repo_id}: newer than the installed LeRobot reads; upgrade lerobot ({error})") from error
    except (HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled, OSError, RuntimeError) as error:
        raise DatasetError(
            f"{repo_id}: the dataset cannot be had from the Hugging Face hub ({_first_line(error)}); check the name "
            "and the network, or download it and give dataset.root=FOLDER"
        ) from error


def converted_copy(root: Path, version: str, cache_folder: str) -> Path:
    """A v3.0 copy of the v2.0 or v2.1 dataset in `root`, made by LeRobot's converter once and kept in the cache.

    The source is only read. A source whose metadata changed is converted again.

    Raises:
        DatasetError: the version is neither, or the conversion fails.
    """
    if version not in ("v2.0", "v2.1"):
        raise DatasetError(f"{root}: LeRobot format {version}; v2.0, v2.1 and v3.x are read: record it again")
    stamp = hashlib.sha256(str(root.resolve()).encode())
    for path in sorted((root / "meta").iterdir()):
        stamp.update(f"{path.name} {path.stat().st_size} {path.stat().st_mtime_ns}".encode())
    return _convert(root.name, root, cache_root(cache_folder) / f"{root.name}-{stamp.hexdigest()[:16]}")


def cache_root(cache_folder: str) -> Path:
    """The folder that holds converted copies."""
    if cache_folder:
        return Path(cache_folder).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "m2iv_robot"


def _convert(repo_id: str, source: Path | None, target: Path) -> Path:
    """Convert in a folder of its own (copied from `source`, or downloaded), then rename into place."""
    from lerobot.scripts.convert_dataset_v21_to_v30 import convert_dataset

    if target.is_dir():
        return target
    work = target.with_name(f".{target.name}.{os.getpid()}")
    shutil.rmtree(work, ignore_errors=True)
    try:
        work.mkdir(parents=True)
        if source is not None:
            shutil.copytree(source, work / "dataset")
            if json.loads((source / "meta" / "info.json").read_text())["codebase_version"] == "v2.0":
                upgrade_to_2_1(work / "dataset")
        convert_dataset(repo_id, root=work / "dataset", push_to_hub=False)
        (work / "dataset").rename(target)
    except (OSError, ValueError, KeyError, RuntimeError, AttributeError) as error:
        raise DatasetError(
            f"{source or repo_id}: LeRobot's v2 converter failed ({type(error).__name__}: {_first_line(error)}); "
            "check that every episode has its data and video files, or set dataset.cache_folder to a writable folder"
        ) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return target


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
