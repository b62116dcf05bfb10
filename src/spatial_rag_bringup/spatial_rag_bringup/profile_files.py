"""
Writes config/*.yaml: every parameter of every node, from where it is declared.

python -m spatial_rag_bringup.profile_files FOLDER
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
import sys
from textwrap import wrap
from typing import Any

from spatial_rag_bringup.profiles import Profile, PROFILES, TITLES
from spatial_rag_core.settings import Settings
from spatial_rag_nodes.parameters import Parameter

import yaml

NODES = ('encoder', 'memory_writer', 'retriever', 'transition_predictor', 'visualizer',
         'episode_recorder', 'bag_replay', 'simulated_robot')
SET_BY_LAUNCH = ('model_path', 'memory_path', 'output_path', 'path', 'autostart')
"""Left out, for whoever starts the nodes sets them."""
FROM_ENVIRONMENT = {'z_dim': 'Z_DIM', 'action_dim': 'ACTION_DIM', 'k': 'TOPK',
                    'image_size': 'IMAGE_SIZE'}
"""Left out, for the environment sets their defaults: parameter → variable."""
_WIDTH = 99

_HEAD = (
    'Parameters of all nodes for {title}: each with its unit, its range and its default; live: '
    'may be set while the node runs. '
    'Written by `python -m spatial_rag_bringup.profile_files` from where they are declared; copy '
    'the file to change it, and name the copy with params_file:=… (launch) or PARAMS=… (make '
    'run). `/**/name` is the node `name` in any namespace.',
    'A line that begins with "# " and a name is left out: model_path, memory_path, output_path, '
    'path and autostart, which launch or `make run` set (an argument wins over what is written); '
    'and those whose default comes from the environment. Written here they would win over it.')


def declared(node: str, settings: Settings) -> Sequence[Parameter]:
    """The parameters of a node, as its module declares them."""
    module = import_module(f'spatial_rag_nodes.{node}_node')
    return getattr(module, 'PARAMETERS', None) or module._parameters(settings)


def text_of(profile: str, declarations: Callable[[str, Settings], Sequence[Parameter]] = declared,
            ) -> str:
    """The whole file of a profile."""
    settings = Settings()
    blocks = ['\n'.join(_comment(part.format(title=TITLES[profile]), '') for part in _HEAD)]
    for node in NODES:
        parameters = '\n'.join(_entry(node, parameter, PROFILES[profile])
                               for parameter in declarations(node, settings))
        blocks.append(f'/**/{node}:\n  ros__parameters:\n{parameters}')
    return '\n\n'.join(blocks) + '\n'


def _entry(node: str, parameter: Parameter, profile: Profile) -> str:
    setting = profile.get((node, parameter.name))
    lines = [_comment(f'{parameter.description} {_limits(parameter)}', '    ')]
    if setting:
        lines.append(_comment(f'Here otherwise: {setting.reason}', '    '))
    value = setting.value if setting else parameter.default
    is_left_out = not setting and parameter.name in (*SET_BY_LAUNCH, *FROM_ENVIRONMENT)
    lines.append(f'    {"# " if is_left_out else ""}{parameter.name}: {_scalar(value)}')
    return '\n'.join(lines)


def _limits(parameter: Parameter) -> str:
    """Such as '[s] (0 to 10; default 0.1; live)'."""
    words = []
    if parameter.choices:
        words.append(' | '.join(parameter.choices))
    elif parameter.low is not None:
        words.append(f'{parameter.low:.12g} to {parameter.high:.12g}')
    variable = FROM_ENVIRONMENT.get(parameter.name)
    words.append(f'default {_scalar(parameter.default)}'
                 + (f', or {variable} of the environment' if variable else ''))
    if parameter.live:
        words.append('live')
    unit = f'[{parameter.unit}] ' if parameter.unit else ''
    return f'{unit}({"; ".join(words)})'


def _scalar(value: Any) -> str:
    return yaml.safe_dump(value, width=1000).removesuffix('\n').removesuffix('\n...')


def _comment(text: str, indent: str) -> str:
    return '\n'.join(wrap(text, _WIDTH, initial_indent=f'{indent}# ',
                          subsequent_indent=f'{indent}# ', break_long_words=False,
                          break_on_hyphens=False))


def main(argv: Sequence[str] | None = None) -> None:
    """Write the files."""
    words = sys.argv[1:] if argv is None else argv
    for profile in PROFILES:
        (Path(*words) / f'{profile}.yaml').write_text(text_of(profile))


if __name__ == '__main__':
    main()
