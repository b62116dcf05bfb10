from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from .transitions import A, actions, B, HEADS, HIDDEN, inputs, K, make, PLAIN, VARIANTS, Z

every_variant = pytest.mark.parametrize('options', VARIANTS.values(), ids=VARIANTS)


def bare(given: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: given[name] for name in ('z', 'a', 'retrieved', 'mask')}


def torchs_attention(net: torch.nn.Module) -> torch.nn.MultiheadAttention:
    """Torch's own, with the same weights; its bias_k and bias_v are the null memory."""
    ours = net.attention
    theirs = torch.nn.MultiheadAttention(HIDDEN, HEADS, add_bias_kv=True, kdim=Z, vdim=Z,
                                         batch_first=True)
    theirs.q_proj_weight.data, theirs.k_proj_weight.data, theirs.v_proj_weight.data = (
        part.weight.data for part in (ours.query, ours.key, ours.value))
    theirs.in_proj_bias.data = torch.cat([ours.query.bias, torch.zeros(2 * HIDDEN)])
    theirs.bias_k.data[:], theirs.bias_v.data[:] = ours.null_key.data, ours.null_value.data
    theirs.out_proj.load_state_dict(ours.out.state_dict())
    return theirs.eval().requires_grad_(False)


@pytest.mark.parametrize('masked', [0, 2, 4, K])
def test_the_plain_form_is_the_formula_of_the_design(masked: int) -> None:
    net, given = make(**PLAIN), inputs()
    given['mask'][:, K - masked:] = False
    torch.nn.init.normal_(net.attention.null_value)
    z, a, retrieved, mask = bare(given).values()
    h = net.gru(torch.cat([z, net.action_proj(a)], dim=1))
    m, weights = torchs_attention(net)(h[:, None], retrieved, retrieved, key_padding_mask=~mask)
    g = torch.sigmoid(net.gate(torch.cat([h, m[:, 0]], dim=1)))
    step = net(**given)
    torch.testing.assert_close(step.z, net.mlp(g * m[:, 0] + (1 - g) * h) + z)
    torch.testing.assert_close(step.weights, weights[:, 0, :K])
    torch.testing.assert_close(step.displacement, net.dead_reckoning(a))
    assert step.log_variance.tolist() == [0.0] * B


def test_the_plain_form_reads_neither_poses_nor_actions_nor_a_state() -> None:
    net, given = make(**PLAIN), inputs()
    assert torch.equal(net(**given, hidden=torch.randn(B, HIDDEN)).z, net(**bare(given)).z)


@every_variant
@pytest.mark.parametrize('garbage', [1e30, math.inf, math.nan])
def test_masked_slots_change_nothing_whatever_they_hold(
        options: dict[str, Any], garbage: float) -> None:
    net, given = make(**options), inputs()
    given['mask'][0, 2:] = False
    given['mask'][1] = False
    clean = net(**given)
    for name in ('retrieved', 'memory_pose', 'memory_action'):
        given[name][~given['mask']] = garbage
    for part, expected in zip(net(**given), clean, strict=True):
        assert expected.isfinite().all()
        assert torch.equal(part, expected)


def test_garbage_in_masked_slots_does_not_reach_the_gradient() -> None:
    net, given = make().requires_grad_(), inputs()
    given['mask'][:, 1:] = False
    for name in ('retrieved', 'memory_pose', 'memory_action'):
        given[name][:, 1:] = math.nan
    sum(part.sum() for part in net(**given, hidden=torch.zeros(B, HIDDEN))).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())


def test_what_lies_beyond_reach_is_not_looked_at() -> None:
    net, given = make(reach_m=2.0), inputs()
    given['memory_pose'][:, 2:, :3] += 10.0
    step = net(**given)
    given['mask'][:, 2:] = False
    assert step.weights[:, 2:].abs().max() == 0.0
    torch.testing.assert_close(step.z, net(**given).z)


@every_variant
def test_padding_is_the_same_as_fewer_memories(options: dict[str, Any]) -> None:
    net, given = make(**options), inputs()
    given['mask'][:, 2:] = False
    short = {name: given[name][:, :2] for name in (
        'retrieved', 'mask', 'memory_pose', 'memory_action')}
    step, other = net(**given), net(**{**given, **short})
    assert step.weights[:, 2:].tolist() == [[0.0] * 3] * B
    for part, expected in zip(step[:4], other[:4], strict=True):
        torch.testing.assert_close(part, expected)


@every_variant
def test_no_memory_at_all_is_legal_and_the_same_as_all_masked(options: dict[str, Any]) -> None:
    net, given = make(**options), inputs()
    given['mask'][:] = False
    none = net(**{**bare(inputs(k=0)), 'z': given['z'], 'a': given['a']})
    assert none.z.shape == (B, Z)
    for part, expected in zip(net(**given)[:4], none[:4], strict=True):
        torch.testing.assert_close(part, expected)


@pytest.mark.parametrize('name', ['z', 'a', 'retrieved', 'memory_pose', 'memory_action'])
def test_every_input_counts(name: str) -> None:
    net, given = make(), inputs()
    step, other = net(**given), net(**{**given, name: inputs(seed=2)[name]})
    for part, changed in zip(step, other, strict=True):
        if part is not step.hidden:
            assert not torch.allclose(part, changed)
    seen_before = name in ('z', 'a')  # memories are looked at after the state has moved on
    assert torch.equal(step.hidden, other.hidden) is not seen_before


def test_a_model_without_memory_says_the_same_whatever_it_is_given() -> None:
    net, given = make(memory=False), inputs()
    step = net(**given)
    none = net(**{**bare(inputs(k=0)), 'z': given['z'], 'a': given['a']})
    assert step.weights.tolist() == [[0.0] * K] * B
    for part, expected in zip(step[:4], none[:4], strict=True):
        assert torch.equal(part, expected)


@every_variant
def test_the_order_of_memories_does_not_count(options: dict[str, Any]) -> None:
    net, given = make(**options), inputs()
    order = torch.tensor([3, 0, 4, 1, 2])
    mixed = {name: given[name][:, order] for name in (
        'retrieved', 'mask', 'memory_pose', 'memory_action')}
    step, other = net(**given), net(**{**given, **mixed})
    torch.testing.assert_close(other.weights, step.weights[:, order])
    for part, expected in zip(other[:4], step[:4], strict=True):
        torch.testing.assert_close(part, expected)


def test_poses_and_actions_that_are_not_given_are_not_known() -> None:
    net, given = make(), inputs()
    zeros = {**given, 'memory_pose': torch.zeros(B, K, 9), 'memory_action': torch.zeros(B, K, A)}
    assert torch.equal(net(**bare(given)).z, net(**zeros).z)


def test_a_history_is_the_state_of_the_steps_before() -> None:
    net, given = make(), inputs()
    history_z, history_a = torch.randn(B, 4, Z), actions(4)
    hidden = None
    for index in range(4):
        hidden = net(**{**given, 'z': history_z[:, index], 'a': history_a[:, index]},
                     hidden=hidden).hidden
    torch.testing.assert_close(net.warm_up(history_z, history_a), hidden)
    assert not net.warm_up(history_z[:, :0], history_a[:, :0]).any()
    assert not torch.allclose(net(**given, hidden=hidden).z, net(**given).z)
    assert not make(carry_state=False).warm_up(history_z, history_a).any()


def test_the_way_is_the_actions_alone_unless_it_is_learned_from_state_and_memories() -> None:
    given, other = inputs(), {**inputs(seed=2), 'a': inputs()['a']}
    for options, alone in (({'displacement': False}, True), ({}, False)):
        net = make(**options)
        same = torch.allclose(net(**given).displacement, net(**other).displacement)
        assert same is alone


def test_saying_how_wrong_it_is_does_not_change_what_it_says() -> None:
    net, given = make().requires_grad_(), inputs()
    net(**given).log_variance.sum().backward()
    learned = {name.split('.')[0] for name, p in net.named_parameters() if p.grad is not None}
    assert learned == {'log_variance'}


def test_the_pointer_mixes_what_memories_show_in_by_the_attention_that_they_get() -> None:
    net, given = make(), inputs()
    step = net(**given)
    without = make()
    without.load_state_dict(net.state_dict())
    without.point = None
    own = without(**given).z
    net.point.weight.zero_()
    net.attention.correction.weight.zero_()
    net.attention.correction.bias.zero_()
    shown = (step.weights.unsqueeze(1) @ given['retrieved']).squeeze(1)
    left = 1.0 - step.weights.sum(dim=1, keepdim=True)  # the null memory shows nothing
    for bias, share in ((-50.0, 0.0), (0.0, 0.5), (50.0, 1.0)):
        net.point.bias.fill_(bias)
        expected = (1.0 - share) * own + share * (left * own + shown)
        torch.testing.assert_close(net(**given).z, expected)


def test_without_memories_a_pointer_points_nowhere() -> None:
    net, given = make(), inputs(k=0)
    before = net(**given).z
    net.point.bias.fill_(50.0)
    torch.testing.assert_close(net(**given).z, before)


def copying(net: torch.nn.Module, row: int) -> torch.nn.Module:
    """Set weights by hand: memory at the foreseen pose gets all attention, and is the answer."""
    attention = net.attention
    for parameter in net.parameters():
        parameter.zero_()
    attention.null_key.fill_(-100.0)
    attention.query.bias.fill_(1.0)
    # relu(1 - |x|) by three units: 1 where a memory's x is that of the foreseen pose, else less.
    attention.of_extra.weight[:3, row] = torch.tensor([1.0, 1.0, 1.0])
    attention.of_extra.bias[:3] = torch.tensor([1.0, 0.0, -1.0])
    attention.key.weight[:, :3] = 100.0 * torch.tensor([1.0, -2.0, 1.0])
    net.point.bias.fill_(50.0)
    return net


def test_the_memory_at_the_pose_that_the_action_leads_to_can_be_the_answer() -> None:
    net, given = copying(make(), row=0), inputs(k=4, batch=1)
    net.dead_reckoning.weight[0, 0] = 1.0  # an action [x, .] leads x metres ahead
    given['memory_pose'][0] = 0.0
    given['memory_pose'][0, :, 0] = torch.arange(4)  # one memory each metre ahead
    given['memory_pose'][0, :, 3] = given['memory_pose'][0, :, 7] = 1.0
    for metres in range(4):
        step = net(**{**given, 'a': torch.tensor([[float(metres), 0.0]])})
        assert int(step.weights.argmax()) == metres
        torch.testing.assert_close(step.z[0], given['retrieved'][0, metres])
