from __future__ import annotations

import math
from typing import Any

from spatial_rag_core.errors import ConfigurationError
from spatial_rag_core.models.transition import Transition, TransitionConfig

import pytest
import torch

Z, A, K, B = 6, 2, 5, 3


def make(**options: Any) -> Transition:
    torch.manual_seed(0)
    config = TransitionConfig(Z, A, hidden_dim=16, attention_heads=2, **options)
    return Transition(config).eval().requires_grad_(False)


def inputs(k: int = K, seed: int = 1) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)
    return {'z': draw(B, Z), 'a': draw(B, A), 'retrieved': draw(B, k, Z),
            'mask': torch.ones(B, k, dtype=torch.bool),
            'memory_pose': draw(B, k, 4), 'memory_action': draw(B, k, A)}


def plain(given: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: given[name] for name in ('z', 'a', 'retrieved', 'mask')}


def test_the_plain_form_is_the_formula_of_the_design() -> None:
    net, given = make(), inputs()
    z, a, retrieved, _ = plain(given).values()
    h = net.gru(torch.cat([z, net.action_proj(a)], dim=1))
    attention = torch.nn.MultiheadAttention(16, 2, bias=True, batch_first=True, kdim=16, vdim=16)
    ours = net.attention
    attention.in_proj_weight.data = torch.cat([torch.eye(16)] * 3)
    attention.in_proj_bias.data.zero_()
    attention.out_proj.load_state_dict(ours.out.state_dict())
    keys = torch.cat([ours.null_key.expand(B, 1, 16), ours.key(retrieved)], dim=1)
    values = torch.cat([ours.null_value.expand(B, 1, 16), ours.value(retrieved)], dim=1)
    m = attention(ours.query(h)[:, None], keys, values)[0][:, 0]
    g = torch.sigmoid(net.gate(torch.cat([h, m], dim=1)))
    expected = net.mlp(g * m + (1 - g) * h) + z
    torch.testing.assert_close(net(**plain(given)), expected)


@pytest.mark.parametrize('options', [
    {}, {'memory_pose': True}, {'memory_action': True},
    {'memory_pose': True, 'memory_action': True}])
@pytest.mark.parametrize('garbage', [1e30, math.inf, math.nan])
def test_masked_slots_change_nothing_whatever_they_hold(
        options: dict[str, bool], garbage: float) -> None:
    net, given = make(**options), inputs()
    given['mask'][0, 2:] = False
    given['mask'][1] = False
    clean = net(**given)
    for name in ('retrieved', 'memory_pose', 'memory_action'):
        given[name][~given['mask']] = garbage
    assert clean.isfinite().all()
    assert torch.equal(net(**given), clean)


def test_garbage_in_masked_slots_does_not_reach_the_gradient() -> None:
    net, given = make().requires_grad_(), inputs()
    given['mask'][:, 1:] = False
    given['retrieved'][:, 1:] = math.nan
    net(**plain(given)).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())


def test_padding_is_the_same_as_fewer_memories() -> None:
    net, given = make(), inputs()
    given['mask'][:, 2:] = False
    short = {**given, 'retrieved': given['retrieved'][:, :2], 'mask': given['mask'][:, :2]}
    torch.testing.assert_close(net(**plain(given)), net(**plain(short)))


def test_no_memory_at_all_is_legal_and_the_same_as_all_masked() -> None:
    net, given = make(), inputs()
    given['mask'][:] = False
    none = net(**{**plain(inputs(k=0)), 'z': given['z'], 'a': given['a']})
    assert none.shape == (B, Z)
    assert none.isfinite().all()
    torch.testing.assert_close(net(**plain(given)), none)


@pytest.mark.parametrize('name', ['z', 'a', 'retrieved', 'memory_pose', 'memory_action'])
def test_every_input_counts(name: str) -> None:
    net, given = make(memory_pose=True, memory_action=True), inputs()
    other = {**given, name: inputs(seed=2)[name]}
    assert not torch.allclose(net(**given), net(**other))


def test_the_order_of_memories_does_not_count() -> None:
    net, given = make(), inputs()
    order = torch.tensor([3, 0, 4, 1, 2])
    other = {**given, 'retrieved': given['retrieved'][:, order]}
    torch.testing.assert_close(net(**plain(given)), net(**plain(other)))


def test_a_model_with_memory_poses_and_actions_runs_without_them() -> None:
    net, given = make(memory_pose=True, memory_action=True), inputs()
    zeros = {**given, 'memory_pose': torch.zeros(B, K, 4), 'memory_action': torch.zeros(B, K, A)}
    assert torch.equal(net(**plain(given)), net(**zeros))


@pytest.mark.parametrize(('options', 'message'), [
    ({'z_dim': 0}, 'z_dim must be > 0, got 0'),
    ({'action_dim': -2}, 'action_dim must be > 0, got -2'),
    ({'hidden_dim': 0}, 'hidden_dim must be > 0, got 0'),
    ({'attention_heads': 0}, 'attention_heads must be > 0, got 0'),
    ({'hidden_dim': 10, 'attention_heads': 4}, r'multiple of attention_heads \(4\), got 10'),
])
def test_an_impossible_size_is_refused_at_birth(options: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        TransitionConfig(**options)
