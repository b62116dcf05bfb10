"""What a ROS parameter file says for a node, and what must be passed beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
import re
from typing import Any

import yaml


class ParameterFile:
    """
    A parameter file, as the nodes of one namespace see it.

    A file that cannot be read says nothing: the nodes refuse it with their own reason.
    """

    def __init__(self, path: Path, namespace: str = '') -> None:
        self._namespace = namespace.strip('/')
        try:
            content = yaml.safe_load(path.read_text())
        except (OSError, UnicodeError, yaml.YAMLError):
            content = None
        self._sections = list(_sections(content)) if isinstance(content, dict) else []

    def value(self, node: str, name: str) -> Any:
        """What the node gets: the last section that matches it wins, as in rcl; None: nothing."""
        full_name, found = self._full_name(node), None
        for pattern, values in self._sections:
            if name in values and _matches(pattern, full_name):
                found = values[name]
        return found

    def section_that_wins(self, node: str) -> str:
        """
        Name of a section which, in a later file, outdoes what this file says for the node.

        rcl joins the files: a section stays at the place at which it first appeared.
        """
        full_name = self._full_name(node)
        patterns = [pattern for pattern, _ in self._sections]
        last = [pattern for pattern in patterns if _matches(pattern, full_name)][-1:]
        return next((section for section in (f'/**/{node}', full_name)
                     if section not in patterns or section in last), full_name)

    def _full_name(self, node: str) -> str:
        return f'/{self._namespace}/{node}'.replace('//', '/')


@dataclass(frozen=True)
class Choice:
    """
    A value that several nodes share.

    value: what they will use; '' where nobody says.  must_be_passed: the file alone does not
    bring it to all of them.
    """

    value: str
    must_be_passed: bool


def choose(explicit: str, file: ParameterFile, nodes: Sequence[str], name: str,
           default: Callable[[], str]) -> Choice:
    """Take the explicit value, else the file's, else the default."""
    if explicit:
        return Choice(explicit, True)
    in_file = [file.value(node, name) for node in nodes]
    named = [str(value) for value in in_file if value]
    if len(named) == len(nodes):
        return Choice(named[0], False)
    return Choice(named[0] if named else default(), True)


def _sections(content: Mapping[Any, Any], prefix: str = '',
              ) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Name pattern and parameters of each section; namespaces may be nested."""
    for key, inner in content.items():
        if not isinstance(inner, dict):
            continue
        if key == 'ros__parameters':
            yield prefix, inner
        else:
            yield from _sections(inner, f'{prefix}/{str(key).strip("/")}')


def _matches(pattern: str, full_name: str) -> bool:
    """** stands for any number of names, * for one (rcl_yaml_param_parser)."""
    expression = re.escape(pattern).replace(r'/\*\*', r'(/\w+)*').replace(r'/\*', r'/\w+')
    return re.fullmatch(expression, full_name) is not None
