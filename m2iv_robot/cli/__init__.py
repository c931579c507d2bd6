"""`m2iv COMMAND key=value ...`: one Hydra configuration and one module of this package per command."""

import importlib
import logging
import sys

from hydra import compose, initialize_config_module
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from m2iv_robot.errors import M2IVError

COMMANDS = {
    "annotate": "find robot and object in every episode; masks, plates and a page of overlays",
    "plan": "choose new placements and plan the robot's motion for them; draws them on the plate",
    "simulate": "record simulated pick-and-place episodes as a LeRobot dataset, with exact truth beside it",
    "train": "train a network",
    "benchmark": "measure: benchmark=NAME",
}


def usage() -> str:
    """The help text."""
    lines = [f"  {name:<10} {what}" for name, what in COMMANDS.items()]
    return "\n".join(
        ["usage: m2iv COMMAND key=value ...", "", *lines, "", "m2iv COMMAND --help shows the command's configuration."]
    )


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status (0 done, 1 failed, 2 not understood)."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        sys.stdout.write(usage() + "\n")
        return 0
    command, overrides = arguments[0], arguments[1:]
    if command not in COMMANDS:
        sys.stderr.write(f"m2iv: unknown command {command!r}\n\n{usage()}\n")
        return 2
    try:
        with initialize_config_module("configs", version_base="1.3"):
            if any(flag in overrides for flag in ("-h", "--help")):
                from omegaconf import OmegaConf

                sys.stdout.write(OmegaConf.to_yaml(compose(command)))
                return 0
            node = compose(command, overrides=overrides)
        return importlib.import_module(f"m2iv_robot.cli.{command}").run(node)
    except (HydraException, OmegaConfBaseException) as error:
        sys.stderr.write(f"m2iv {command}: {error}\n")
        return 2
    except M2IVError as error:
        sys.stderr.write(f"m2iv {command}: {type(error).__name__}: {error}\n")
        return 1
