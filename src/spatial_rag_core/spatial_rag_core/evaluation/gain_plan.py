"""A folder of results belongs to one experiment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
import json
from pathlib import Path
from typing import Any

from spatial_rag_core.errors import TrainingError
from spatial_rag_core.evaluation.results import ExperimentPlan

_MAY_DIFFER = {'sizes', 'seeds', 'sizes_of', 'command', 'date', 'machine', 'software'}


def joined_plan(folder: Path, plan: ExperimentPlan) -> ExperimentPlan:
    """
    The plan, together with the sizes and seeds that the folder was planned for before.

    Raises TrainingError where the folder holds results of another configuration.
    """
    if not (folder / 'plan.json').exists():
        return plan
    earlier = ExperimentPlan.load(folder)
    before, now = (_flat(asdict(one)) for one in (earlier, plan))
    now['largest size'], before['largest size'] = (
        json.dumps(max(one.sizes)) for one in (plan, earlier))
    for name in sorted(set(before) | set(now)):
        if name.partition('.')[0] not in _MAY_DIFFER and before.get(name) != now.get(name):
            raise TrainingError(f'{folder}: holds results with {name} {before.get(name)}, this '
                                f'is {now.get(name)}; choose another folder, or delete it')
    return replace(plan, sizes=_union(earlier.sizes, plan.sizes),
                   seeds=_union(earlier.seeds, plan.seeds), sizes_of={
        name: _union(earlier.sizes_of.get(name, ()), sizes)
        for name, sizes in plan.sizes_of.items()})


def _union(one: Sequence[int], other: Sequence[int]) -> tuple[int, ...]:
    return tuple(sorted({*one, *other}))


def _flat(values: Mapping[str, Any], prefix: str = '') -> dict[str, str]:
    """Nested names joined by dots, values as JSON."""
    flat: dict[str, str] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f'{prefix}{name}.')
        else:
            flat[f'{prefix}{name}'] = json.dumps(value)
    return flat
