"""The kinds of robots that parameters are given for, and what they set otherwise, and why."""

from __future__ import annotations

from typing import Any, NamedTuple


class Setting(NamedTuple):
    """A value that is not the default, and the reason."""

    value: Any
    reason: str


Profile = dict[tuple[str, str], Setting]
"""(node, parameter) → setting."""

_ON_CPU = 'torch would else take a GPU that others may need'

PROFILES: dict[str, Profile] = {
    'cpu': {
        ('encoder', 'device'): Setting('cpu', _ON_CPU),
        ('transition_predictor', 'device'): Setting('cpu', _ON_CPU),
        ('visualizer', 'device'): Setting('cpu', _ON_CPU),
    },
    'jetson': {
        ('encoder', 'device'): Setting(
            'cuda', 'a torch without CUDA is refused at the start, instead of computing slowly'),
        ('transition_predictor', 'device'): Setting(
            'cpu', 'its net is small: to start it on a GPU takes longer than to compute it'),
        ('visualizer', 'device'): Setting('cpu', 'the GPU is left to the encoder'),
        ('memory_writer', 'commit_period_sec'): Setting(
            1.0, 'fewer writes to flash memory; a crash costs at most this much'),
    },
    'sim': {
        ('memory_writer', 'robot'): Setting('simulated', 'memories of no real robot'),
        ('memory_writer', 'map_id'): Setting('rooms2d', 'nor of a real place'),
    },
}

TITLES = {
    'cpu': 'a robot whose computer has no GPU, or another use for it',
    'jetson': 'an NVIDIA Jetson, or another computer with a GPU and flash memory',
    'sim': 'the simulated robot',
}
"""Profile → what it is for."""
