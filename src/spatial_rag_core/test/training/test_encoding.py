from __future__ import annotations

from spatial_rag_core.data.episodes.episode import Episode
from spatial_rag_core.models.encoder import EncoderConfig, TinyEncoder
from spatial_rag_core.training.encoding import encode_episodes, encode_pictures

import numpy as np
import pytest
import torch

LOT = np.random.default_rng(0)


def episode(begin_sec: float = 0.0, length: int = 12, map_id: str = 'home',
            name: str = 'demo_0', rate_hz: float = 5.0) -> Episode:
    poses = np.zeros((length, 7))
    poses[:, 6] = 1.0
    return Episode(name, LOT.integers(0, 256, (length, 32, 32, 3), dtype=np.uint8),
                   LOT.normal(size=(length, 2)).astype(np.float32), poses,
                   begin_sec + np.arange(length) / rate_hz, rate_hz, map_id)


@pytest.fixture(scope='module')
def encoder() -> TinyEncoder:
    torch.manual_seed(0)
    encoder = TinyEncoder(EncoderConfig(z_dim=8, image_size=32))
    encoder.eval().requires_grad_(False)
    return encoder


def test_pictures_are_encoded_one_like_the_other_however_many(encoder: TinyEncoder) -> None:
    rgb = episode(length=130).rgb
    whole = encode_pictures(encoder, rgb)
    assert whole.shape == (130, 8)
    np.testing.assert_allclose(whole[127:129], encode_pictures(encoder, rgb[127:129]), atol=1e-5)


def test_a_track_is_its_episode_with_latents_for_pictures(encoder: TinyEncoder) -> None:
    one = episode()
    (track,) = encode_episodes(encoder, [one], 0.2)
    np.testing.assert_array_equal(track.z, encode_pictures(encoder, one.rgb))
    np.testing.assert_array_equal(track.actions, one.actions)
    np.testing.assert_array_equal(track.poses, one.poses)
    np.testing.assert_array_equal(track.stamps, one.stamps)
    assert (track.map_id, track.stride, track.is_asked.all()) == ('home', 1, True)


def test_episodes_without_a_map_are_maps_of_their_own(encoder: TinyEncoder) -> None:
    tracks = encode_episodes(encoder, [episode(map_id='', name=name) for name in 'ab'], 0.2)
    assert [track.map_id for track in tracks] == ['a', 'b']


def test_remembered_episodes_are_memories_of_the_asked_ones_and_nothing_else(
        encoder: TinyEncoder) -> None:
    (track,) = encode_episodes(
        encoder, [episode(100.0)], 0.2,
        remembered=[episode(0.0), episode(200.0), episode(0.0, map_id='garden')])
    assert track.is_asked.tolist() == [False] * 12 + [True] * 12 + [False] * 12
