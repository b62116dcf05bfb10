"""
How many steps a second does the simulated robot make on one core?

Beside it, in the same run: the goal, and what a step costs in other worlds behind the same
interface, Gymnasium's MountainCar (no picture) and CarRacing (a picture of 96 x 96; where its
dependencies are installed).  Seconds are those of one core's work (process time), so that other
work on the machine counts little; nothing here uses a second core.
"""

from collections.abc import Callable
import json
import time
from typing import Any

from spatial_rag_core.data.exploring.policies import make_policy, POLICIES
from spatial_rag_core.data.rooms.rooms2d import Rooms2D, Rooms2DConfig
from spatial_rag_core.data.rooms.rooms2d_env import Rooms2DEnv

import gymnasium as gym

GOAL_STEPS_PER_SEC = 2000
SIZE_PX = 64
STEPS = 5000
FEW_STEPS = 300
ROUNDS = 3


def steps_per_sec(run: Callable[[], int]) -> float:
    """Best of some rounds, for other work on the machine only slows it."""
    best = 0.0
    for _ in range(ROUNDS):
        start = time.process_time()
        steps = run()
        best = max(best, steps / (time.process_time() - start))
    return best


def rooms(is_seeing: bool) -> float:
    world = Rooms2D(Rooms2DConfig(image_size_px=SIZE_PX))
    policy = make_policy('loops', world.room_map, seed=0, step_sec=0.05)
    actions = []
    for _ in range(STEPS):  # planned before, so that only the world is measured
        actions.append(policy.act(world.pose))
        world.advance(actions[-1])

    def run() -> int:
        world.reset()
        for action in actions:
            if is_seeing:
                world.step(action)
            else:
                world.advance(action)
        return STEPS
    return steps_per_sec(run)


def with_policy(name: str) -> float:
    """World, pictures and policy together, its planning included: what making data costs."""
    def run() -> int:
        world = Rooms2D(Rooms2DConfig(rate_hz=5.0, image_size_px=SIZE_PX))
        policy, seen = make_policy(name, world.room_map, seed=0), world.reset(0)
        for _ in range(STEPS):
            seen = world.step(policy.act(seen.pose))
        return STEPS
    return steps_per_sec(run)


def environment(env: gym.Env[Any, Any], steps: int) -> float:
    env.action_space.seed(0)
    actions = [env.action_space.sample() for _ in range(steps)]

    def run() -> int:
        env.reset(seed=0)
        for action in actions:
            _, _, is_over, is_cut, _ = env.step(action)
            if is_over or is_cut:
                env.reset()
        return steps
    return steps_per_sec(run)


def other_worlds() -> dict[str, int | str]:
    found: dict[str, int | str] = {}
    for name, steps in (('MountainCarContinuous-v0', STEPS), ('CarRacing-v3', FEW_STEPS)):
        try:
            found[name] = round(environment(gym.make(name), steps))
        except gym.error.DependencyNotInstalled:
            found[name] = 'dependencies absent'
    return found


def main() -> None:
    seeing = rooms(is_seeing=True)
    print(json.dumps({
        'benchmark': 'rooms2d', 'steps': STEPS, 'image_size_px': SIZE_PX,
        'goal_steps_per_sec': GOAL_STEPS_PER_SEC,
        'steps_per_sec_with_rendering': round(seeing),
        'ratio_to_goal': round(seeing / GOAL_STEPS_PER_SEC, 2),
        'steps_per_sec_without_rendering': round(rooms(is_seeing=False)),
        'steps_per_sec_with_rendering_and_policy': {
            name: round(with_policy(name)) for name in POLICIES},
        'gymnasium_steps_per_sec': {
            'SpatialRag/Rooms2D-v0': round(environment(Rooms2DEnv(), STEPS)), **other_worlds()}}))


if __name__ == '__main__':
    main()
