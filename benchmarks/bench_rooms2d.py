"""How many steps a second does the simulated robot make, with its camera and without?"""

import json
import time

from spatial_rag_core.data.rooms2d import Rooms2D
from spatial_rag_core.data.wander import WanderPolicy

STEPS = 5000


def steps_per_sec(is_seeing: bool) -> float:
    world = Rooms2D()
    policy = WanderPolicy(world.room_map, seed=0)
    actions = []
    for _ in range(STEPS):  # planned before, so that only the world is measured
        actions.append(policy.act(world.pose))
        world.advance(actions[-1])
    world.reset()
    start = time.perf_counter()
    for action in actions:
        if is_seeing:
            world.step(action)
        else:
            world.advance(action)
    return STEPS / (time.perf_counter() - start)


def main() -> None:
    print(json.dumps({
        'benchmark': 'rooms2d', 'steps': STEPS, 'image_size_px': 64,
        'steps_per_sec_with_rendering': round(steps_per_sec(is_seeing=True)),
        'steps_per_sec_without_rendering': round(steps_per_sec(is_seeing=False))}))


if __name__ == '__main__':
    main()
