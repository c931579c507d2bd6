"""Topics to LeRobot episodes by a contract; without ROS: live recording and recorded bags take the same path."""

from m2iv_robot.recording.contract import CameraStream, Contract, ContractConfig, ValueStream, load_contract
from m2iv_robot.recording.report import RecordingReport
from m2iv_robot.recording.session import Recording
from m2iv_robot.recording.spool import SpooledEpisode, open_spool

__all__ = [
    "CameraStream",
    "Contract",
    "ContractConfig",
    "Recording",
    "RecordingReport",
    "SpooledEpisode",
    "ValueStream",
    "load_contract",
    "open_spool",
]
