"""How well frames were foreseen, and what becomes of a memory that misleads."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from spatial_rag_msgs.msg import Surprise
from spatial_rag_nodes.conversions import ns_from_time

import numpy as np
import pytest
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter

from .predictor_rig import bank, memory, Rig, STEP_NS, vector

pytestmark = pytest.mark.ros

STEPS_AHEAD = 4  # frames of 50 ms in a step of 0.2 s


class Drive:
    """Frames at 20 Hz, each with a memory or none, and what is said of them."""

    def __init__(self, lab: Any, bundle_path: Path, window_sec: float = 2.5) -> None:
        self.surprises = lab.probe.listen(Surprise, '/spatial_rag/surprise', 1000)
        self.rig = Rig(lab, bundle_path, retrieval_timeout_sec=1.0, action_timeout_sec=3600.0,
                       surprise_window_sec=window_sec)
        self.rig.act(0.1, 0.1)

    def begin(self) -> None:
        """Turn time back: nothing of before is judged any more."""
        self.rig.stamp_ns -= 1_000_000_000_000

    def leave_memory_out(self, value: bool) -> None:
        request = SetParameters.Request(
            parameters=[Parameter('leave_memory_out', value=value).to_parameter_msg()])
        [result] = self.rig.probe.call(
            SetParameters, '/transition_predictor/set_parameters', request).results
        assert result.successful

    def late(self) -> int:
        """How many predictions went out before their memories came, so far."""
        count = len(self.rig.diagnostics.statuses('transition_predictor'))
        values = self.rig.diagnostics.wait('transition_predictor', lambda status, _: (
            status in self.rig.diagnostics.statuses('transition_predictor')[count:]))
        return int(values['retrieval_late'])

    def frame(self, z: np.ndarray, *memories: Any) -> np.ndarray:
        """One frame; returns what is foreseen for a step later."""
        self.rig.send(z, memories)
        return np.array(self.rig.answer().z)

    def surprise(self) -> Surprise:
        """What is said of the newest frame."""
        stamp_ns = self.rig.stamp_ns
        self.rig.probe.until(lambda: bool(self.surprises) and ns_from_time(
            self.surprises[-1].header.stamp) == stamp_ns)
        return self.surprises[-1]


@pytest.fixture(scope='module')
def begun(module_lab: Any, bundle_path: Path) -> Drive:
    return Drive(module_lab, bundle_path)


@pytest.fixture
def drive(begun: Drive) -> Drive:
    begun.begin()
    return begun


def rms(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.sqrt(np.square(a - b).mean()))


def test_each_frame_judges_what_was_foreseen_a_step_before(drive: Drive) -> None:
    foreseen = drive.frame(vector(0), memory(1), memory(2))
    first_ns = drive.rig.stamp_ns
    for number in range(1, STEPS_AHEAD):
        drive.frame(vector(number))
    drive.frame(vector(9))
    surprise = drive.surprise()
    bundle, found = drive.rig.bundle, bank(memory(1), memory(2))
    without = bundle.foresee(vector(0), [0.1, 0.1], found).z[1, 0]
    assert ns_from_time(surprise.foreseen_from) == first_ns == (
        drive.rig.stamp_ns - STEPS_AHEAD * STEP_NS)
    assert surprise.error == surprise.error_with_memory
    assert surprise.error == pytest.approx(rms(foreseen, vector(9)), abs=1e-4)
    assert surprise.error_without_memory == pytest.approx(rms(without, vector(9)), abs=1e-4)
    assert surprise.error_of_copying == pytest.approx(rms(vector(0), vector(9)), abs=1e-4)
    assert surprise.expected_error > 0.0
    assert (surprise.header.frame_id, surprise.model_id) == ('camera', bundle.model_id)
    assert (surprise.window_frames, surprise.window_frames_with_memory) == (1, 1)
    drive.frame(vector(9))
    surprise = drive.surprise()
    assert math.isnan(surprise.error_with_memory), 'that frame had no memory'
    assert (surprise.window_frames, surprise.window_frames_with_memory) == (2, 1)


def test_a_prediction_names_the_memories_that_it_rests_on(drive: Drive) -> None:
    rig = drive.rig
    rig.send(vector(1), [memory(1), memory(2)])
    answer = rig.answer()
    both = rig.bundle.foresee(vector(1), [0.1, 0.1], bank(memory(1), memory(2)))
    weights = dict(zip(answer.memory_ids, answer.memory_weights, strict=True))
    assert set(weights) == {'1', '2'}
    for row, weight in zip(both.memory_rows[0, 0], both.weights[0, 0], strict=True):
        if row >= 0:
            assert weights[str(row + 1)] == pytest.approx(weight, abs=1e-5)
    assert 0.0 < sum(weights.values()) <= 1.0 + 1e-6
    rig.send(vector(1), [])
    answer = rig.answer()
    assert (len(answer.memory_ids), len(answer.memory_weights)) == (0, 0)


def misled(drive: Drive, frames: int, sees: str) -> Surprise:
    """
    Drive so that predictions with memory, or those without, come true; what is said at the end.

    What the robot sees a step later is what one of the two foresaw.
    """
    bundle, found = drive.rig.bundle, bank(memory(1), memory(2))
    row = 0 if sees == 'with memory' else 1
    upcoming = [vector(number) for number in range(STEPS_AHEAD)]
    for _ in range(frames):
        z = upcoming.pop(0)
        upcoming.append(bundle.foresee(z, [0.1, 0.1], found).z[row, 0])
        drive.frame(z, memory(1), memory(2))
    return drive.surprise()


def test_memory_that_misleads_is_left_out_until_it_helps_again(drive: Drive) -> None:
    rig, found = drive.rig, bank(memory(1), memory(2))
    last = misled(drive, 60, sees='without memory')
    assert last.memory_left_out
    assert last.relative_to_no_memory > 1.05
    rig.diagnostics.wait('transition_predictor', lambda status, values: (
        values['memory_left_out'] == 'True' and 'memory makes predictions worse' in status.message
        and 'it is left out until it helps again' in status.message))
    rig.send(vector(1), [memory(1), memory(2)])
    answer = rig.answer()
    np.testing.assert_allclose(
        answer.z, rig.bundle.foresee(vector(1), [0.1, 0.1], found).z[1, 0], atol=1e-5)
    assert len(answer.memory_ids) == 0
    drive.leave_memory_out(False)  # people may want it all the same
    rig.send(vector(1), [memory(1), memory(2)])
    assert len(rig.answer().memory_ids) == 2
    rig.diagnostics.wait('transition_predictor', lambda status, _: (
        'leave_memory_out is false, so it is used all the same' in status.message))
    drive.leave_memory_out(True)
    last = misled(drive, 120, sees='with memory')
    assert not last.memory_left_out
    assert last.error == last.error_with_memory
    count = len(rig.diagnostics.statuses('transition_predictor'))
    rig.diagnostics.wait('transition_predictor', lambda status, values: (
        values['memory_left_out'] == 'False' and 'worse' not in status.message
        and status in rig.diagnostics.statuses('transition_predictor')[count:]))


def test_memories_that_come_too_late_again_and_again_are_told(drive: Drive) -> None:
    late = drive.late()
    for _ in range(15):
        drive.rig.send(vector(1), None)
    drive.rig.diagnostics.wait('transition_predictor', lambda status, values: (
        int(values['retrieval_late']) - late == 15 and 'predictions went out without memories' in
        status.message and 'is the retriever running' in status.message))


def test_frames_too_far_apart_to_judge_any_prediction_are_told(drive: Drive) -> None:
    for number in range(12):
        drive.rig.stamp_ns += 9 * STEP_NS
        drive.frame(vector(number), memory(1))
    drive.rig.diagnostics.wait('transition_predictor', lambda status, _: (
        'whether memory makes predictions worse cannot be told' in status.message
        and 'no frame comes about 0.2 s after another' in status.message
        and 'set publish_rate of the encoder to 5 Hz, or a multiple' in status.message))


def test_a_window_too_short_for_so_few_frames_is_told(lab: Any, bundle_path: Path) -> None:
    drive = Drive(lab, bundle_path, window_sec=1.5)
    for number in range(15):
        drive.rig.stamp_ns += 3 * STEP_NS
        drive.frame(vector(number), memory(1))
    values = drive.rig.diagnostics.wait('transition_predictor', lambda status, _: (
        'surprise_window_sec 1.5 s holds fewer than 10 predictions; set it to 2 or more' in
        status.message))
    assert (values['surprise_frames_needed'], values['memory_left_out']) == ('10', 'False')
