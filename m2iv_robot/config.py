"""The one bridge from Hydra nodes to checked dataclasses."""

import dataclasses
import importlib.resources

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from m2iv_robot.errors import ConfigError


def parse[Schema](schema: type[Schema], node: DictConfig | dict, name: str = "") -> Schema:
    """Turn a Hydra node into an instance of the frozen dataclass `schema`.

    `name` is the group's name, used in messages.

    Raises:
        ConfigError: an unknown key, a wrong type, a missing value, or a value that the dataclass refuses.
    """
    where = name or schema.__name__
    known = {entry.name for entry in dataclasses.fields(schema)}
    try:
        plain = OmegaConf.create(dict(node)) if isinstance(node, dict) else node
        given = OmegaConf.to_container(plain, resolve=True, throw_on_missing=True)
        unknown = sorted(set(given) - known)
        if unknown:
            raise ConfigError(f"{where}: unknown key {unknown[0]!r}; known are {', '.join(sorted(known))}")
        merged = OmegaConf.merge(_writable(OmegaConf.structured(schema)), given)
        return OmegaConf.to_object(merged)
    except OmegaConfBaseException as error:
        key = f".{error.full_key}" if getattr(error, "full_key", None) else ""
        raise ConfigError(f"{where}{key}: {str(error).splitlines()[0]}") from error


def _writable(node: DictConfig) -> DictConfig:
    """A frozen dataclass's node, and those within it, made writable (in place): a list in them could not be merged."""
    OmegaConf.set_readonly(node, False)
    for key in node:
        if not OmegaConf.is_missing(node, key) and isinstance(node[key], DictConfig):
            _writable(node[key])
    return node


def preset[Schema](schema: type[Schema], group: str, name: str) -> Schema:
    """The configuration that ships as configs/GROUP/NAME.yaml.

    Raises:
        ConfigError: there is no such file, or it does not fit the dataclass.
    """
    path = importlib.resources.files("configs") / group / f"{name}.yaml"
    if not path.is_file():
        raise ConfigError(f"{group}={name}: no such configuration ships")
    return parse(schema, OmegaConf.create(path.read_text()), group)
