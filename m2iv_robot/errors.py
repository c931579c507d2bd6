"""Every error that this package raises on purpose: each says where, what, and what to do."""


class M2IVError(Exception):
    """Base of all errors that a user can act on; a batch command lists it and goes on."""


class ConfigError(M2IVError):
    """A configuration value is unknown, of the wrong type or out of range."""


class DatasetError(M2IVError):
    """A dataset is missing, damaged, of the wrong version, or lacks what was asked for."""


class WriteError(M2IVError):
    """Output cannot be written where it was asked to go, or does not fit what is there."""


class SegmentationError(M2IVError):
    """Actor or object cannot be told in an episode, or a mask does not fit its frames."""


class PromptError(M2IVError):
    """A click, box, mask or text prompt cannot be used on this episode."""


class CameraError(M2IVError):
    """A camera moves, or its projection cannot be fitted from the data at hand."""


class KinematicsError(M2IVError):
    """A state does not fit the robot's description, or a pose is out of its reach."""


class PlanError(M2IVError):
    """A placement or a motion towards it is not feasible."""


class CheckpointError(M2IVError):
    """Weights are missing or do not fit the network they are loaded into."""


class RecordingError(M2IVError):
    """A message cannot be read, or an episode recorded from topics or a bag is not fit to be kept."""


class RequestError(M2IVError):
    """A request for synthetic episodes cannot be accepted, and why."""
