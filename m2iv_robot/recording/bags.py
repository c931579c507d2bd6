"""Recorded bags (mcap, sqlite3; plain or zstd) to episodes by a contract, without a ROS install."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from m2iv_robot.data.lerobot_io import WriterConfig
from m2iv_robot.errors import RecordingError
from m2iv_robot.recording.alignment import NANOSECONDS
from m2iv_robot.recording.contract import Contract
from m2iv_robot.recording.save import save_episode
from m2iv_robot.recording.session import Recording
from m2iv_robot.recording.spool import SpooledEpisode, spool_folder

CLOCK = "/clock"
INFO_TYPE = "sensor_msgs/msg/CameraInfo"
Progress = Callable[[int, int], None]  # messages read, messages in the bag


@dataclass(frozen=True)
class Conversion:
    """What bags are made into."""

    contract: Contract
    root: Path  # of the dataset
    task: str  # what the robot does in them
    writer: WriterConfig


def find_bags(paths: list[str]) -> list[Path]:
    """The bags that are named: a bag's folder, a single .mcap or .db3 file, or a folder that holds bags.

    Raises:
        RecordingError: a path is not there or holds no bag.
    """
    found: list[Path] = []
    for path in (Path(name).expanduser() for name in paths):
        if path.is_file() and path.suffix in (".mcap", ".db3"):
            found.append(path)
        elif (path / "metadata.yaml").is_file():
            found.append(path)
        else:
            below = sorted(entry.parent for entry in path.glob("*/metadata.yaml"))
            below = below or sorted(path.glob("*.mcap"))
            if not below:
                raise RecordingError(f"{path}: no bag there; give a bag's folder, an .mcap file, or a folder of bags")
            found += below
    return found


def record_bag(
    bag: Path, contract: Contract, folder: Path, task: str, progress: Progress | None = None
) -> SpooledEpisode:
    """The bag as one episode, spooled in `folder`.

    With simulated time (a /clock topic in the bag) messages without a header are stamped by it.

    Raises:
        RecordingError: the bag is damaged, lacks topics, or does not make an episode.
    """
    recording = Recording(contract, folder, task)
    try:
        with _opened(bag) as reader:
            _feed(reader, bag, contract, recording, progress)
        return recording.finish()
    except BaseException:
        recording.discard()
        raise


def convert_bag(bag: Path, conversion: Conversion, progress: Progress | None = None) -> tuple[int, SpooledEpisode]:
    """Append the bag to the dataset; its index there, and what it was made of.

    Raises:
        RecordingError: as for `record_bag`.
        WriteError: it does not fit the dataset.
    """
    folder = spool_folder(conversion.root) / f"bag-{bag.resolve().name}"
    episode = record_bag(bag, conversion.contract, folder, conversion.task, progress)
    return save_episode(episode, conversion.root, conversion.writer), episode


def _feed(reader: object, bag: Path, contract: Contract, recording: Recording, progress: Progress | None) -> None:
    wanted: dict[str, list[str]] = {}
    for name, stream in contract.streams.items():
        wanted.setdefault(stream.topic, []).append(name)
    infos = contract.info_topics
    kinds = {stream.topic: stream.type for stream in contract.streams.values()}
    connections = []
    for connection in reader.connections:
        expected = kinds.get(connection.topic)
        if expected and connection.msgtype != expected:
            raise RecordingError(
                f"{bag}: {connection.topic} is {connection.msgtype}; the contract, which is to be corrected, "
                f"says {expected}"
            )
        if expected or connection.topic == CLOCK or (connection.topic in infos and connection.msgtype == INFO_TYPE):
            connections.append(connection)
    absent = [topic for topic in wanted if topic not in {connection.topic for connection in connections}]
    if absent:
        there = ", ".join(sorted({connection.topic for connection in reader.connections})) or "nothing"
        raise RecordingError(f"{bag}: no topic {', '.join(absent)}; the bag holds {there}")
    clock_ns: int | None = None
    total = sum(connection.msgcount for connection in connections)
    for count, (connection, logged_ns, data) in enumerate(reader.messages(connections=connections)):
        message = reader.deserialize(data, connection.msgtype)
        if connection.topic == CLOCK:
            clock_ns = message.clock.sec * NANOSECONDS + message.clock.nanosec
        elif connection.topic in infos and connection.msgtype == INFO_TYPE:
            recording.add_info(infos[connection.topic], message)
        else:
            for name in wanted[connection.topic]:
                recording.add(name, message, logged_ns if clock_ns is None else clock_ns)
        if progress is not None:
            progress(count + 1, total)


@contextmanager
def _opened(bag: Path) -> Iterator[object]:
    """The bag's reader, with every fault of it as an error that names the bag."""
    from rosbags.highlevel import AnyReader, AnyReaderError
    from rosbags.rosbag2 import ReaderError
    from rosbags.serde import SerdeError
    from rosbags.typesys import Stores, TypesysError, get_typestore

    try:
        with AnyReader([bag], default_typestore=get_typestore(Stores.ROS2_JAZZY)) as reader:
            yield reader
    except (AnyReaderError, ReaderError, SerdeError, TypesysError, OSError) as error:
        raise RecordingError(
            f"{bag}: cannot be read ({error}); if its recording was interrupted: ros2 bag reindex {bag}"
        ) from error
