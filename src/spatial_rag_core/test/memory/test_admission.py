from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields, replace
import math

from spatial_rag_core.errors import ConfigurationError
from spatial_rag_core.memory.admission import Admission, AdmissionConfig, EVERYTHING, Verdict
from spatial_rag_core.records import as_latent, Pose, Position, Quaternion, Vector

import numpy as np
import pytest

START = 1_760_000_000_000_000_000
FRAME_NS = 50_000_000  # 20 Hz
HERE = as_latent([0.0, 0.0])
NOTHING = AdmissionConfig(min_travel_m=1000.0, min_turn_deg=180.0,
                          max_interval_sec=0.0)
"""Only the first moment is admitted."""


def at(x: float, y: float = 0.0, heading_deg: float = 0.0) -> Pose:
    half = math.radians(heading_deg) / 2
    return Pose(Position(x, y), Quaternion(0.0, 0.0, math.sin(half), math.cos(half)))


def judge(config: AdmissionConfig, poses: Iterable[Pose], latents: Iterable[Vector] | None = None,
          period_ns: int = FRAME_NS) -> list[Verdict]:
    admission = Admission(config)
    poses = list(poses)
    return [admission.judge(START + index * period_ns, pose, z) for index, (pose, z) in enumerate(
        zip(poses, latents or [HERE] * len(poses), strict=True))]


def admitted(verdicts: list[Verdict]) -> list[int]:
    return [index for index, verdict in enumerate(verdicts) if verdict.is_admitted]


@pytest.mark.parametrize('seed', range(3))
def test_an_hour_of_standing_still_adds_a_handful(seed: int) -> None:
    random = np.random.default_rng(seed)
    poses = (at(x, y, heading) for x, y, heading in random.normal(
        0.0, (0.01, 0.01, 0.2), (72_000, 3)).tolist())  # σ: 1 cm, 0.2°
    verdicts = judge(AdmissionConfig(), poses)
    assert verdicts.count(Verdict.TURN) == 0
    assert verdicts.count(Verdict.TRAVEL) <= 2  # one, where the very first pose lies far off
    assert 6 <= len(admitted(verdicts)) <= 8  # the first, and one after each ten minutes


def test_a_slow_creep_adds_up_though_no_step_of_it_counts() -> None:
    verdicts = judge(AdmissionConfig(), (at(0.001 * step) for step in range(1001)))
    assert len(admitted(verdicts)) == pytest.approx(1 + 1.0 / 0.05, abs=1)


@pytest.mark.parametrize(('speed', 'spacing'), [
    (0.2, 0.05), (0.5, 0.05), (0.7, 0.07), (1.0, 0.05), (1.3, 0.065), (2.0, 0.1), (10.0, 0.5)])
def test_on_a_drive_memories_lie_as_far_apart_as_asked(speed: float, spacing: float) -> None:
    verdicts = judge(AdmissionConfig(), (at(speed * step * 0.05) for step in range(400)))
    places = speed * 0.05 * np.array(admitted(verdicts))
    assert np.median(np.diff(places)) == pytest.approx(spacing)
    assert np.diff(places)[5:].max() == pytest.approx(spacing)
    assert np.diff(places).max() <= spacing + 2 * speed * 0.05  # while it sets out


@pytest.mark.parametrize('speed', [0.1, 0.3, 0.5])
def test_noise_on_a_drive_changes_the_spacing_little(speed: float) -> None:
    random = np.random.default_rng(0)
    noise = random.normal(0.0, (0.01, 0.01, 0.2), (4000, 3)).tolist()
    verdicts = judge(AdmissionConfig(), (at(speed * step * 0.05 + x, y, heading)
                                         for step, (x, y, heading) in enumerate(noise)))
    spacing = speed * 0.05 * 4000 / len(admitted(verdicts))
    assert 0.04 < spacing < 0.065


@pytest.mark.parametrize('axis', [(1.0, 0.0, 0.0), (0.0, 0.0, 1.0), (0.6, 0.0, 0.8)])
def test_on_a_turn_about_any_axis_memories_lie_as_far_apart_as_asked(
        axis: tuple[float, float, float]) -> None:
    poses = []
    for step in range(1000):  # 0.5° a step, several times round
        half = math.radians(0.5 * step) / 2
        poses.append(Pose(Position(0, 0), Quaternion(
            *(math.sin(half) * part for part in axis), math.cos(half))))
    places = 0.5 * np.array(admitted(judge(AdmissionConfig(), poses)))
    assert np.diff(places)[3:] == pytest.approx(2.0)


def test_a_leap_is_taken_at_once_and_the_standing_after_it_adds_nothing() -> None:
    verdicts = judge(AdmissionConfig(), [at(0), at(0), at(1), at(1), at(1), at(1, 0, 90),
                                         at(1, 0, 90), at(1, 0, 90)])
    assert verdicts == [Verdict.FIRST, Verdict.UNCHANGED, Verdict.TRAVEL, Verdict.UNCHANGED,
                        Verdict.UNCHANGED, Verdict.TURN, Verdict.UNCHANGED, Verdict.UNCHANGED]


def test_travel_counts_in_height_too() -> None:
    verdicts = judge(AdmissionConfig(), [at(0), Pose(Position(0, 0, 1))])
    assert verdicts[1] is Verdict.TRAVEL


def test_a_quaternion_and_its_negative_are_one_rotation() -> None:
    pose = at(0, 0, 40)
    other = Pose(pose.position, Quaternion(*(-part for part in pose.orientation)))
    verdicts = judge(AdmissionConfig(), [pose, other] * 20)
    assert admitted(verdicts) == [0]


def test_where_all_three_reasons_are_off_each_moment_is_remembered() -> None:
    assert judge(EVERYTHING, [at(0)] * 10) == [Verdict.FIRST] + [Verdict.ALL] * 9
    assert judge(AdmissionConfig(0.0, 0.0, 0.0, 0.0, 0.0), [at(0)] * 10)[1:] == [Verdict.ALL] * 9


@pytest.mark.parametrize(('off', 'kept'), [('min_travel_m', 'turn'), ('min_turn_deg', 'travel')])
def test_a_reason_that_is_off_admits_nothing_where_another_is_on(off: str, kept: str) -> None:
    config = replace(AdmissionConfig(), **{off: 0.0})  # type: ignore[arg-type]
    verdicts = judge(config, [at(0), at(0), at(9), at(9), at(9, 0, 90)])
    assert [verdict.value for verdict in verdicts if verdict.is_admitted] == ['first', kept]


def test_never_sooner_than_min_interval_whatever_else_holds() -> None:
    config = replace(EVERYTHING, min_interval_sec=0.2)
    verdicts = judge(config, (at(step) for step in range(20)))
    assert admitted(verdicts) == [0, 4, 8, 12, 16]
    assert verdicts.count(Verdict.TOO_SOON) == 15


def test_what_was_too_soon_is_made_up_for_once_the_interval_is_over() -> None:
    config = AdmissionConfig(min_interval_sec=0.2)
    verdicts = judge(config, [at(0), at(1), at(1), at(1), at(1), at(1)])
    assert admitted(verdicts) == [0, 4]


@pytest.mark.parametrize(('max_interval_sec', 'expected'), [(1.0, [0, 20, 40]), (0.0, [0])])
def test_after_max_interval_a_moment_is_remembered_in_any_case(
        max_interval_sec: float, expected: list[int]) -> None:
    config = replace(NOTHING, max_interval_sec=max_interval_sec)
    assert admitted(judge(config, [at(0)] * 60)) == expected


def test_a_robot_that_stands_still_remembers_what_is_new_to_it() -> None:
    config = replace(NOTHING, min_novelty=1.0)
    views = [as_latent([x, 0.0]) for x in (0, 0.9, 1.0, 0, 1, 1.9, 2.0)]
    assert admitted(judge(config, [at(0)] * 7, views)) == [0, 2, 6]


def test_a_flickering_scene_saturates() -> None:
    random = np.random.default_rng(0)
    views = [as_latent(z) for z in random.normal(0, 100, (2000, 32))]
    config = replace(NOTHING, min_novelty=1.0)
    assert len(admitted(judge(config, [at(0)] * 2000, views))) == 8


def test_a_new_spot_begins_its_own_views() -> None:
    config = replace(NOTHING, min_travel_m=1.0, min_novelty=1.0)
    views = [as_latent([x, 0.0]) for x in (0, 5, 0, 5, 0, 5)]
    verdicts = judge(config, [at(0)] * 3 + [at(9)] * 3, views)
    assert verdicts == [Verdict.FIRST, Verdict.NOVELTY, Verdict.UNCHANGED, Verdict.TRAVEL,
                        Verdict.NOVELTY, Verdict.UNCHANGED]


def test_a_latent_may_be_written_over_after_it_was_judged() -> None:
    admission, z = Admission(replace(NOTHING, min_novelty=1.0)), as_latent([0.0, 0.0])
    admission.judge(START, at(0), z)
    z[:] = 50.0
    assert admission.judge(START + 1, at(0), z) is Verdict.NOVELTY


@pytest.mark.parametrize('back_ns', [1, 3600 * 10 ** 9])
def test_where_time_runs_backwards_it_begins_anew(back_ns: int) -> None:
    admission = Admission(replace(NOTHING, min_interval_sec=1.0))
    stamps = (START, START + FRAME_NS, START + FRAME_NS - back_ns, START + 2 * FRAME_NS - back_ns)
    assert [admission.judge(stamp_ns, at(0), HERE) for stamp_ns in stamps] == [
        Verdict.FIRST, Verdict.TOO_SOON, Verdict.FIRST, Verdict.TOO_SOON]


def test_the_first_moment_of_a_session_is_remembered() -> None:
    admission = Admission(NOTHING)
    admission.judge(START, at(0), HERE)
    admission.begin()
    assert admission.judge(START + FRAME_NS, at(0), HERE) is Verdict.FIRST


def test_what_was_not_remembered_is_counted_by_reason() -> None:
    admission = Admission(AdmissionConfig(min_interval_sec=0.1))
    for step in range(10):
        admission.judge(START + step * FRAME_NS, at(0), HERE)
    assert admission.not_admitted == {'too_soon': 1, 'unchanged': 8}
    assert sum(admission.counts.values()) == 10


def test_the_conditions_may_change_while_it_runs() -> None:
    admission = Admission(NOTHING)
    admission.judge(START, at(0), HERE)
    assert admission.judge(START + 1, at(0.5), HERE) is Verdict.UNCHANGED
    admission.config = EVERYTHING
    assert admission.judge(START + 2, at(0.5), HERE) is Verdict.ALL


@pytest.mark.parametrize('name', [field.name for field in fields(AdmissionConfig)])
@pytest.mark.parametrize('value', [-0.1, math.nan, math.inf])
def test_a_condition_out_of_range_is_refused(name: str, value: float) -> None:
    with pytest.raises(ConfigurationError, match=rf'{name} must lie between 0 \(off\) and .*got'):
        AdmissionConfig(**{name: value})
