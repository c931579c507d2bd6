"""`m2iv COMMAND --help`: every key with its value and its meaning, read from the comments beside it.

A key's meaning is the comment on its line in the YAML file, else on its line in the dataclass it is parsed into.
"""

import ast
import io
import re
import tokenize
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable

from hydra.core.hydra_config import HydraConfig
from hydra.errors import ConfigCompositionException
from omegaconf import DictConfig, OmegaConf

YAML_COMMENT = re.compile(r"^\s*(?P<key>\w+):.*?\s#\s*(?P<meaning>.+)$")
WIDTH_OF_KEYS = 44


@dataclass(frozen=True)
class Schema:
    """A configuration dataclass as its source text tells it: field -> the comment on its line ("" without one)."""

    name: str
    summary: str
    meanings: dict[str, str]


def describe(command: str, what: str, compose: Callable[[], DictConfig]) -> str:
    """The help text of a command with the configuration that `compose` gives."""
    heading = f"m2iv {command}: {what}"
    try:
        node = compose()
    except ConfigCompositionException as error:
        return f"{heading}\n\n{error}"
    choices = dict(HydraConfig.get().runtime.choices)
    schemas = _schemas()
    plain = [key for key in node if not OmegaConf.is_dict(node[key])]
    own_meanings = _yaml_meanings(f"{command}.yaml")
    blocks = [_block(node, plain, "", own_meanings)] if plain else []
    for group in (key for key in node if OmegaConf.is_dict(node[key])):
        keys = [str(key) for key in node[group]]
        if group not in choices:
            blocks.append(_block(node[group], keys, f"{group}.", own_meanings))
            continue
        schema = _matching(schemas, str(group), set(keys))
        meanings = (schema.meanings if schema else {}) | _yaml_meanings(f"{group}/{choices[group]}.yaml")
        others = [name for name in _names_in_group(str(group)) if name != choices[group]]
        title = f"{group}={choices[group]}" + (f"   (or {', '.join(others)})" if others else "")
        title += f"\n  {schema.summary}" if schema and schema.summary else ""
        blocks.append(title + "\n" + _block(node[group], keys, f"{group}.", meanings))
    return "\n\n".join([heading, *blocks])


def _block(node: DictConfig, keys: list[str], prefix: str, meanings: dict[str, str]) -> str:
    lines = []
    for key in keys:
        value = OmegaConf.to_yaml(OmegaConf.create([node[key]]), resolve=True).strip().removeprefix("- ")
        if OmegaConf.is_list(node[key]):
            value = "[" + ",".join(str(entry) for entry in node[key]) + "]"
        setting = f"  {prefix}{key}={value}"
        meaning = meanings.get(key, "")
        lines.append(f"{setting:<{WIDTH_OF_KEYS}}  # {meaning}" if meaning else setting)
    return "\n".join(lines)


def _names_in_group(group: str) -> list[str]:
    folder = files("configs").joinpath(group)
    if not folder.is_dir():
        return []
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def _yaml_meanings(name: str) -> dict[str, str]:
    source = files("configs").joinpath(name)
    lines = source.read_text(encoding="utf-8").splitlines() if source.is_file() else []
    found = (YAML_COMMENT.match(line) for line in lines)
    return {match["key"]: match["meaning"].strip() for match in found if match}


def _matching(schemas: list[Schema], group: str, keys: set[str]) -> Schema | None:
    """The dataclass that has all these keys: the one named after the group, else the one with the fewest others."""
    fitting = [schema for schema in schemas if keys and keys <= schema.meanings.keys()]
    wanted = group.replace("_", "") + "config"
    return min(
        fitting, key=lambda schema: (schema.name.lower() != wanted, len(schema.meanings), schema.name), default=None
    )


def _schemas() -> list[Schema]:
    """Every configuration dataclass of the library, from its source; nothing is imported for it."""
    sources = (source.read_text(encoding="utf-8") for source in _python_files(files("m2iv_robot")))
    return [schema for text in sources if "Config:" in text for schema in _schemas_in(text)]


def _python_files(folder: Traversable) -> list[Traversable]:
    found = []
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.is_dir():
            found += _python_files(entry)
        elif entry.name.endswith(".py"):
            found.append(entry)
    return found


def _schemas_in(text: str) -> list[Schema]:
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    comments = {
        token.start[0]: token.string.lstrip("# ").rstrip() for token in tokens if token.type == tokenize.COMMENT
    }
    schemas = []
    for item in ast.parse(text).body:
        if isinstance(item, ast.ClassDef) and item.name.endswith("Config"):
            fields = [entry for entry in item.body if isinstance(entry, ast.AnnAssign)]
            meanings = {entry.target.id: comments.get(entry.end_lineno or 0, "") for entry in fields}
            schemas.append(Schema(item.name, (ast.get_docstring(item) or "").partition("\n")[0], meanings))
    return schemas
