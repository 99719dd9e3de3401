"""Values as JSON, TOML, YAML and shell words; whatever they hold, they stay values. Pure."""

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import yaml


def as_json(value: object) -> str:
    """Return ``value`` as indented JSON."""
    return json.dumps(value, indent=2, ensure_ascii=False)


def as_yaml(value: object) -> str:
    """Return ``value`` as YAML in block style, keys in their order."""
    text = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=1000)
    return str(text).rstrip("\n")


def as_toml_table(path: Sequence[str], values: Mapping[str, Any]) -> str:
    """Return one table of texts, booleans and tables of texts.

    Args:
        path: The table's name, part by part.
    """
    head = ".".join(_toml_key(part) for part in path)
    lines = [
        f"{_toml_key(name)} = {_toml_value(item)}" for name, item in values.items()
    ]
    return "\n".join([f"[{head}]", *lines])


def _toml_key(name: str) -> str:
    is_bare = name.isascii() and name.replace("_", "").replace("-", "").isalnum()
    return name if is_bare else _toml_value(name)


def _toml_value(value: object) -> str:
    if isinstance(value, Mapping):
        pairs = [
            f"{_toml_key(name)} = {_toml_value(item)}" for name, item in value.items()
        ]
        return f"{{ {', '.join(pairs)} }}"
    # JSON's texts and booleans are TOML's, except that TOML also wants DEL escaped.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def command(*words: str) -> str:
    """Return a command line for a POSIX shell; each word arrives as it is."""
    return shlex.join(words)
