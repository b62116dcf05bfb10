from __future__ import annotations

import math
from typing import Any

from spatial_rag_core.models.imagination import Bank, Imagination, Rollout
from spatial_rag_core.models.relative_pose import seen_from

import pytest
import torch

from .transitions import A, actions, B, bank_of, HIDDEN, imagination, inputs, PLAIN, VARIANTS, Z

every_variant = pytest.mark.parametrize('options', VARIANTS.values(), ids=VARIANTS)
N, STEPS = 20, 6


def bank(n: int = N, seed: int = 1) -> Bank:
    return bank_of(inputs(n, seed))


def start(seed: int = 1) -> torch.Tensor:
    return inputs(seed=seed)['z']


def assert_same(one: Rollout, other: Rollout, but: tuple[str, ...] = ()) -> None:
    for name in set(Rollout._fields) - set(but):
        torch.testing.assert_close(getattr(one, name), getattr(other, name), msg=name)


def seen_each(imagined: Rollout, given: Bank) -> torch.Tensor:
    """The bank as seen from each imagined pose [B, T, N, 9]."""
    return torch.stack([seen_from(imagined.position[:, t], imagined.rotation[:, t], given.pose)
                        for t in range(imagined.position.shape[1])], dim=1)


@every_variant
def test_each_action_gives_a_step(options: dict[str, Any]) -> None:
    imagined = imagination(**options)(start(), actions(STEPS), bank())
    k = 0 if options.get('memory') is False else 8
    assert [tuple(part.shape[2:]) for part in imagined] == [(Z,), (3,), (3, 3), (), (k,), (k,)]
    assert all(part.shape[:2] == (B, STEPS) and part.isfinite().all() for part in imagined)
    assert float(imagined.weights.min() if k else 0.0) >= 0.0
    assert float(imagined.weights.sum(2).max()) < 1.0  # the null memory has the rest


@every_variant
def test_one_step_is_what_the_transition_gives_for_the_chosen_memories(
        options: dict[str, Any]) -> None:
    net, given, a = imagination(**options), bank(), actions(1)
    hidden = torch.randn(B, HIDDEN)
    imagined = net(start(), a, given, hidden)
    rows = imagined.chosen[:, 0].unsqueeze(2)
    z, pose, action = (part.gather(1, rows.expand(-1, -1, part.shape[2]))
                       for part in (given.z, given.pose, given.action))
    mask = imagined.weights[:, 0] > 0
    step = net.transition(start(), a[:, 0], z, mask, pose, action, hidden)
    torch.testing.assert_close(imagined.z[:, 0], step.z)
    torch.testing.assert_close(imagined.weights[:, 0], step.weights)
    torch.testing.assert_close(imagined.position[:, 0], step.displacement[:, :3])
    torch.testing.assert_close(imagined.log_variance[:, 0], step.log_variance)


@pytest.mark.parametrize('options', [{}, {'lookup': 'latent'}, {'carry_state': False},
                                     {'memory': False}, {'displacement': False}])
def test_two_halves_with_the_state_carried_are_the_whole(options: dict[str, Any]) -> None:
    net = imagination(agreement=False, **options)  # which judges by where a plan begins
    given, a, half = bank(), actions(STEPS), 3
    whole = net(start(), a, given)
    first = net(start(), a[:, :half], given)
    position, rotation = first.position[:, -1], first.rotation[:, -1]
    hidden = net.transition.warm_up(
        torch.cat([start()[:, None], first.z[:, :-1]], dim=1), a[:, :half])
    second = net(first.z[:, -1], a[:, half:],
                 given._replace(pose=seen_from(position, rotation, given.pose)), hidden)
    moved = (rotation[:, None] @ second.position.unsqueeze(3)).squeeze(3) + position[:, None]
    joined = second._replace(position=moved, rotation=rotation[:, None] @ second.rotation)
    for one, two, all_at_once in zip(first, joined, whole, strict=True):
        torch.testing.assert_close(torch.cat([one, two], dim=1), all_at_once,
                                   rtol=1e-4, atol=1e-5)


@every_variant
def test_plans_at_once_are_what_each_is_alone(options: dict[str, Any]) -> None:
    net, given, a = imagination(**options), bank(), actions(STEPS)
    for row in range(B):
        alone = net(start()[row:row + 1], a[row:row + 1],
                    Bank(*(part[row:row + 1] for part in given)))
        together = Rollout(*(part[row:row + 1] for part in net(start(), a, given)))
        assert_same(alone, together)


@every_variant
@pytest.mark.parametrize('garbage', [1e30, math.inf, math.nan])
def test_masked_slots_change_nothing_whatever_they_hold(
        options: dict[str, Any], garbage: float) -> None:
    net, given = imagination(**options), bank()
    given.mask[0, 4:] = False
    given.mask[1] = False
    clean = net(start(), actions(STEPS), given)
    for part in (given.z, given.pose, given.action):
        part[~given.mask] = garbage
    dirty = net(start(), actions(STEPS), given)
    assert all(part.isfinite().all() for part in clean)
    assert all(torch.equal(*parts) for parts in zip(clean, dirty, strict=True))


def test_garbage_in_masked_slots_does_not_reach_the_gradient() -> None:
    net, given = imagination().requires_grad_(), bank()
    given.mask[:, 3:] = False
    for part in (given.z, given.pose, given.action):
        part[~given.mask] = math.nan
    imagined = net(start(), actions(STEPS), given, torch.zeros(B, HIDDEN))
    sum(part.sum() for part in imagined if part.is_floating_point()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())


@every_variant
def test_a_longer_bank_of_which_the_rest_is_masked_is_the_same(options: dict[str, Any]) -> None:
    net, given = imagination(**options), bank()
    longer = Bank(*(torch.cat([part, torch.zeros_like(part)], dim=1) for part in given))
    one, other = net(start(), actions(STEPS), longer), net(start(), actions(STEPS), given)
    assert_same(one, other, but=('chosen',))
    assert torch.equal(one.chosen * (one.weights > 0), other.chosen * (other.weights > 0))


@every_variant
def test_an_empty_bank_is_the_same_as_one_that_is_all_masked(options: dict[str, Any]) -> None:
    net, none = imagination(**options), bank(0)
    masked = bank()._replace(mask=torch.zeros(B, N, dtype=torch.bool))
    assert_same(net(start(), actions(STEPS), none), net(start(), actions(STEPS), masked),
                but=('chosen', 'weights'))


@every_variant
def test_the_order_of_the_bank_does_not_count(options: dict[str, Any]) -> None:
    net, given = imagination(**options), bank()
    order = torch.randperm(N, generator=torch.Generator().manual_seed(0))
    mixed = net(start(), actions(STEPS), Bank(*(part[:, order] for part in given)))
    plain = net(start(), actions(STEPS), given)
    assert_same(mixed, plain, but=('chosen', 'weights'))
    # Rows that no memory counts for come in any order.
    assert torch.equal(order[mixed.chosen] * (mixed.weights > 0),
                       plain.chosen * (plain.weights > 0))


def test_memories_are_chosen_by_pose_at_each_imagined_pose() -> None:
    # Without a learned way the foreseen pose is the imagined one.
    net, given = imagination(displacement=False, topk=3, reach_m=50.0), bank()
    imagined = net(start(), 3.0 * actions(STEPS), given)
    seen = seen_each(imagined, given)
    cos = (seen[..., 3] + seen[..., 7] + torch.linalg.cross(seen[..., 3:6], seen[..., 6:])[..., 2]
           - 1.0) / 2.0
    distance = seen[..., :3].square().sum(dim=3) + 3.0 * (1.0 - cos)
    assert torch.equal(imagined.chosen, distance.argsort(dim=2)[..., :3])
    assert len(imagined.chosen[0].unique()) > 3


def test_memories_are_chosen_by_latent_at_each_imagined_latent_or_once() -> None:
    given, a = bank(), actions(STEPS)
    nearest = {'latent': lambda z: torch.cat([start()[:, None], z[:, :-1]], dim=1),
               'once': lambda z: start()[:, None].expand(-1, STEPS, -1)}
    for lookup, asked in nearest.items():
        imagined = imagination(lookup=lookup, topk=3, reach_m=50.0)(start(), a, given)
        expected = torch.cdist(asked(imagined.z), given.z).argsort(dim=2)[..., :3]
        assert torch.equal(imagined.chosen, expected)


def ahead(metres: list[float]) -> Bank:
    """Memories on the x axis, unturned, each with a latent of its own."""
    n = len(metres)
    pose = torch.zeros(1, n, 9)
    pose[0, :, 0], pose[0, :, 3], pose[0, :, 7] = torch.tensor(metres), 1.0, 1.0
    return Bank(torch.randn(1, n, Z, generator=torch.Generator().manual_seed(0)),
                torch.ones(1, n, dtype=torch.bool), pose, torch.zeros(1, n, A))


def driving(**options: Any) -> Imagination:
    """Each action [x, .] leads x metres ahead."""
    net = imagination(displacement=False, **options)
    net.transition.dead_reckoning.weight.zero_()
    net.transition.dead_reckoning.bias.zero_()
    net.transition.dead_reckoning.weight[0, 0] = 1.0
    return net


def test_the_memory_at_the_foreseen_pose_is_the_one_that_is_chosen() -> None:
    a = torch.tensor([[[1.0, 0.0]] * 4])
    imagined = driving(topk=1)(start()[:1], a, ahead([4.0, 2.1, 0.0, 3.05, 0.9]))
    assert imagined.chosen[0, :, 0].tolist() == [4, 1, 3, 0]
    torch.testing.assert_close(imagined.position[0, :, 0], torch.arange(1.0, 5.0))


def test_a_pointer_to_the_memory_there_makes_it_the_imagined_latent() -> None:
    net, given = driving(topk=1), ahead([4.0, 2.0, 0.0, 3.0, 1.0])
    transition = net.transition
    for part in (transition.attention.query, transition.attention.key,
                 transition.attention.correction):
        for parameter in part.parameters():
            parameter.zero_()
    transition.attention.query.bias.fill_(1.0)
    transition.attention.null_key.fill_(-100.0)
    transition.point.bias.fill_(50.0)
    imagined = net(start()[:1], torch.tensor([[[1.0, 0.0]] * 4]), given)
    torch.testing.assert_close(imagined.z[0], given.z[0, [4, 1, 3, 0]])


def test_a_memory_counts_only_once_the_robot_is_within_reach_of_it() -> None:
    a = torch.tensor([[[1.0, 0.0]] * 5])
    imagined = driving(reach_m=2.0)(start()[:1], a, ahead([4.5]))
    assert (imagined.weights[0, :, 0] > 0).tolist() == [False, False, True, True, True]


def test_a_plan_turns_and_then_goes_where_it_is_turned_to() -> None:
    net = driving()
    net.transition.dead_reckoning.weight[5, 1] = 1.0  # an action [., w] turns left by w
    a = torch.tensor([[[0.0, math.pi / 2], [1.0, 0.0]]])
    imagined = net(start()[:1], a, ahead([1.0]))
    torch.testing.assert_close(imagined.position[0], torch.tensor([[0.0] * 3, [0.0, 1.0, 0.0]]),
                               rtol=0.0, atol=1e-6)


def test_a_long_rollout_keeps_its_rotation_a_rotation() -> None:
    imagined = imagination()(start(), actions(300), bank())
    rotation = imagined.rotation[:, -1]
    torch.testing.assert_close(rotation @ rotation.transpose(1, 2), torch.eye(3).expand(B, 3, 3),
                               rtol=0.0, atol=1e-4)


def test_a_plan_learns_through_all_its_steps() -> None:
    net = imagination().requires_grad_()
    imagined = net(start(), actions(STEPS), bank())
    sum(part.square().sum() for part in imagined if part.is_floating_point()).backward()
    still = [name for name, p in net.named_parameters()
             if p.grad is None or not p.grad.abs().sum() > 0]
    assert still == []


def test_the_plain_form_takes_the_same_memories_at_every_step() -> None:
    imagined = imagination(**PLAIN, reach_m=50.0)(start(), actions(STEPS), bank())
    assert torch.equal(imagined.chosen, imagined.chosen[:, :1].expand(-1, STEPS, -1))
