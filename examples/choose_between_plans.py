"""
Imagines two plans and says which is known better: whose future the model is more certain of.

    python examples/choose_between_plans.py [--steps 10] [--pictures folder]

A planner would weigh other things; what it needs of each plan is in the same answer.
"""

from __future__ import annotations

import argparse
from pathlib import Path
import sys

from spatial_rag_core.errors import SpatialRagError
from spatial_rag_nodes.rollout_conversions import RolloutResult
from spatial_rag_nodes.spatial_rag_client import SpatialRagClient

import cv2
import numpy as np
from rclpy.utilities import remove_ros_args

PLANS = {'straight on': (0.4, 0.0), 'left turn': (0.2, 0.6)}
"""Speed [m/s] and turn rate [rad/s], as the simulated robot takes them."""


def save_pictures(future: RolloutResult, folder: Path) -> None:
    """One strip of imagined pictures for each plan."""
    if future.pictures is None:
        return
    folder.mkdir(parents=True, exist_ok=True)
    for name, pictures in zip(PLANS, future.pictures, strict=True):
        strip = cv2.cvtColor(np.concatenate(pictures, axis=1), cv2.COLOR_RGB2BGR)
        cv2.imwrite(str(folder / f'{name.replace(" ", "_")}.png'), strip)


def main() -> None:
    """Imagine, and print what comes of each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument('--steps', type=int, default=10, help='of the model, 0.2 s each')
    parser.add_argument('--pictures', type=Path, help='write what is imagined to this folder')
    arguments = parser.parse_args(remove_ros_args(sys.argv)[1:])
    actions = np.array([[action] * arguments.steps for action in PLANS.values()], np.float32)
    try:
        with SpatialRagClient() as robot:
            future = robot.rollout(actions, with_pictures=arguments.pictures is not None)
    except SpatialRagError as error:
        sys.exit(str(error))
    if arguments.pictures is not None:
        save_pictures(future, arguments.pictures)
    print(f'{len(future.memory_ids)} memories at hand {future.note}'.rstrip())
    for plan, name in enumerate(PLANS):
        x, y, _ = future.poses[plan, -1, :3]
        print(f'{name}: ends at ({x:.2f}, {y:.2f}) m after {arguments.steps * future.step_sec:g} '
              f's, expected error {future.uncertainty[plan].mean():.3f}, '
              f'{future.weights[plan].sum(axis=1).mean():.2f} of it from memory')
    print(f'chosen: {list(PLANS)[int(np.nanargmin(future.uncertainty.mean(axis=1)))]}')


if __name__ == '__main__':
    main()
