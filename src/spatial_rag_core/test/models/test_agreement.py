"""Memories are compared with what the robot sees before any of them is believed."""

from __future__ import annotations

import math

from spatial_rag_core.models.agreement import Agreement
from spatial_rag_core.spatial.pose_arrays import POSE_CHANNELS

import torch

from .transitions import A, bank_of, imagination, inputs, Z

WIDTH, HIDDEN = 8, 12


def agreement() -> Agreement:
    torch.manual_seed(0)
    return Agreement(Z, HIDDEN, WIDTH, POSE_CHANNELS).requires_grad_(False)


def test_without_memories_it_says_what_it_learned_to_say_of_nothing() -> None:
    net, given = agreement(), inputs()
    none = net(given['z'], given['retrieved'][:, :0], given['memory_pose'][:, :0],
               given['mask'][:, :0])
    masked = net(given['z'], given['retrieved'], given['memory_pose'], ~given['mask'])
    assert none.shape == (len(given['z']), HIDDEN)
    torch.testing.assert_close(none, masked)
    torch.testing.assert_close(none, net.out(net.nothing[0]).expand_as(none))


def test_the_order_of_memories_does_not_matter() -> None:
    net, given = agreement(), inputs()
    given['mask'][:, 3:] = False
    arguments = [given[name] for name in ('retrieved', 'memory_pose', 'mask')]
    torch.testing.assert_close(net(given['z'], *(part.flip(1) for part in arguments)),
                               net(given['z'], *arguments))


def test_what_the_robot_sees_decides_how_memories_are_asked() -> None:
    given = inputs()
    z, other = given['z'], given['z'] + 1.0
    arguments = [given[name] for name in ('retrieved', 'memory_pose', 'mask')]
    assert not torch.allclose(agreement()(z, *arguments), agreement()(other, *arguments))


def test_a_plan_judges_memories_by_its_start_and_keeps_to_that() -> None:
    net, given = imagination(), inputs()
    asked = []

    def remember(_module: torch.nn.Module, arguments: tuple[torch.Tensor, ...],
                 _evidence: torch.Tensor) -> None:
        asked.append(arguments[0])
    net.transition.agreement.register_forward_hook(remember)
    imagined = net(given['z'], torch.zeros(len(given['z']), 4, A), bank_of(given))
    assert len(asked) == 1
    assert torch.equal(asked[0], given['z'])
    assert all(math.isfinite(value) for value in imagined.z.flatten().tolist())
