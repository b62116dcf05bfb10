"""Rooms2D behind Gymnasium's interface."""

import subprocess
import sys

from spatial_rag_core.data.exploring.policies import make_policy
from spatial_rag_core.data.rooms.rooms2d import Rooms2DConfig
from spatial_rag_core.errors import ActionError, ConfigurationError

import numpy as np
import pytest

gym = pytest.importorskip('gymnasium', reason='gymnasium is absent (requirements/training.txt)')

from spatial_rag_core.data.rooms.rooms2d_env import ENV_ID, Rooms2DEnv  # noqa: E402

from gymnasium.utils.env_checker import check_env  # noqa: E402


@pytest.fixture
def env() -> Rooms2DEnv:
    return Rooms2DEnv(render_mode='rgb_array')


def test_gymnasiums_checker_has_nothing_to_say() -> None:
    check_env(gym.make(ENV_ID, render_mode='rgb_array').unwrapped)


def test_the_same_seed_gives_the_same_episode(env: Rooms2DEnv) -> None:
    runs = []
    for seed in (3, 3, 4):
        seen, info = env.reset(seed=seed)
        env.action_space.seed(seed)
        rewards = 0.0
        for _ in range(30):
            seen, reward, _, _, info = env.step(env.action_space.sample())
            rewards += reward
        runs.append((seen['rgb'].tobytes(), info['pose'].tolist(), info['map_seed'], rewards))
    assert runs[0] == runs[1]
    assert runs[0][:3] != runs[2][:3]


def test_a_map_can_be_asked_for_and_a_reset_then_draws_another_start(env: Rooms2DEnv) -> None:
    _, one = env.reset(seed=1, options={'map_seed': 7})
    _, other = env.reset(options={'map_seed': 7})
    assert one['map_seed'] == other['map_seed'] == 7
    assert one['pose'].tolist() != other['pose'].tolist()
    assert env.reset()[1]['map_seed'] != 7


def test_a_changed_map_keeps_its_doors_and_looks_otherwise(env: Rooms2DEnv) -> None:
    env.reset(seed=1, options={'map_seed': 7})
    before = env.render()
    env.reset(seed=1, options={'map_seed': 7, 'change_seed': 1})
    after = env.render()
    is_other = (before != after).any(axis=2)
    assert 0.3 < is_other.mean() < 0.95


def test_info_tells_pose_room_and_time(env: Rooms2DEnv) -> None:
    env.reset(seed=0)
    for _ in range(5):
        _, _, _, _, info = env.step(np.array([0.5, 0.0], np.float32))
    assert info['pose'].shape == (7,)
    assert info['time_sec'] == pytest.approx(1.0)
    assert info['room'] >= 0


def test_the_reward_is_the_share_of_the_floor_newly_visited(env: Rooms2DEnv) -> None:
    _, info = env.reset(seed=0)
    assert env.step(np.zeros(2, np.float32))[1] < 0.002  # at most the wind brings something new
    policy = make_policy('frontier', env.world.room_map, 0)
    total, is_over, steps = 0.0, False, 0
    while not is_over and steps < 10000:
        _, reward, is_over, _, info = env.step(policy.act(env.world.pose))
        assert reward >= 0.0
        total, steps = total + reward, steps + 1
    assert is_over
    assert 0.9 < total < 1.0
    assert info['time_sec'] > 60.0


def test_a_registered_episode_ends_after_five_minutes() -> None:
    assert gym.spec(ENV_ID).max_episode_steps == 1500


def test_the_map_is_drawn_with_the_robot_and_its_way(env: Rooms2DEnv) -> None:
    env.reset(seed=0)
    before = env.render()
    assert (before.dtype, before.shape) == (np.uint8, (512, 512, 3))
    for _ in range(20):
        env.step(np.array([1.0, 0.3], np.float32))
    assert (env.render() != before).any(axis=2).sum() > 100


def test_the_size_of_the_picture_and_the_limits_come_from_the_configuration() -> None:
    env = Rooms2DEnv(Rooms2DConfig(image_size_px=16, max_speed_m_s=0.5, far_limit_m=5.0))
    seen, _ = env.reset(seed=0)
    assert env.observation_space.contains(seen)
    assert seen['depth'].shape == (16, 16, 1)
    assert env.action_space.high == pytest.approx((0.5, 2.0))
    assert env.render() is None


def test_what_the_environment_does_not_know_is_refused(env: Rooms2DEnv) -> None:
    with pytest.raises(ConfigurationError, match=r'has not begun; call reset\(\) first'):
        env.step(np.zeros(2, np.float32))
    with pytest.raises(ConfigurationError, match=r'takes the options .*, got seed'):
        env.reset(options={'seed': 1})
    with pytest.raises(ConfigurationError, match="got 'human'"):
        Rooms2DEnv(render_mode='human')
    env.reset(seed=0)
    with pytest.raises(ActionError):
        env.step(np.zeros(3, np.float32))


def test_a_robot_that_simulates_needs_no_gymnasium() -> None:
    code = ('import sys; import spatial_rag_core.data.rooms.rooms2d; '
            'import spatial_rag_core.data.exploring.policies; '
            'print("gymnasium" in sys.modules)')
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == 'False'
