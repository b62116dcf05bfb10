from __future__ import annotations

from spatial_rag_core.training.perception_losses import (
    edge_error,
    picture_error,
    place_contrast,
    shared_variance,
)

import pytest
import torch

SAMENESS = torch.tensor([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])


def test_the_same_picture_has_no_error() -> None:
    picture = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    assert picture_error(picture, picture) == pytest.approx(0.0, abs=1e-6)
    assert edge_error(picture, picture) == 0.0


def test_another_brightness_is_an_error_of_the_picture_and_not_of_its_edges() -> None:
    picture = torch.zeros(1, 3, 8, 8)
    assert picture_error(picture + 0.5, picture) == pytest.approx(0.25)
    assert edge_error(picture + 0.5, picture) == 0.0


def test_contrast_is_small_where_the_same_place_is_near_and_large_where_it_is_not() -> None:
    right = torch.tensor([[1.0, 1.0], [1.0, 0.9], [-1.0, -1.0]])
    wrong = right[[0, 2, 1]]
    assert place_contrast(right, SAMENESS, 0.2) < 0.1
    assert place_contrast(wrong, SAMENESS, 0.2) > 5.0


def test_contrast_is_least_where_distances_are_as_sameness_says() -> None:
    sameness = torch.tensor([[0.0, 1.0, 0.3], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    aside = (2 * 0.1 * torch.log(torch.tensor(1 / 0.3))).sqrt()  # score of 0.3 against 1
    losses = [place_contrast(torch.tensor([[0.0], [0.0], [x]]), sameness, 0.1)
              for x in (0.5 * aside, aside, 2.0 * aside)]
    assert losses[1] < min(losses[0], losses[2])


def test_views_without_neighbours_do_not_dilute_what_the_others_teach() -> None:
    z = torch.tensor([[1.0, 1.0], [1.0, 0.0], [-90.0, 90.0]])
    alone = place_contrast(z[:2], SAMENESS[:2, :2], 0.2)
    other = torch.tensor([[1.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    assert place_contrast(z, SAMENESS, 0.2) == pytest.approx(alone.item(), abs=1e-6)
    assert place_contrast(other, SAMENESS, 0.2) > alone + 0.5


def test_contrast_without_neighbours_teaches_nothing_and_stays_finite() -> None:
    z = torch.randn(3, 2, generator=torch.Generator().manual_seed(0), requires_grad=True)
    loss = place_contrast(z, torch.zeros_like(SAMENESS), 0.2)
    loss.backward()
    assert loss.item() == 0.0
    assert z.grad is not None
    assert z.grad.isfinite().all()


def test_contrast_of_one_and_the_same_latent_stays_finite() -> None:
    z = torch.ones(3, 2, requires_grad=True)
    place_contrast(z, SAMENESS, 0.2).backward()
    assert z.grad is not None
    assert z.grad.isfinite().all()


def test_numbers_that_say_the_same_share_variance() -> None:
    z = torch.randn(500, 1, generator=torch.Generator().manual_seed(0))
    apart = torch.randn(500, 2, generator=torch.Generator().manual_seed(1))
    assert shared_variance(z.expand(-1, 2)) > 0.8
    assert shared_variance(apart) < 0.05
