"""Latents of known divergence, and spaces of which effects are apart."""

import numpy as np
import pytest

from analysis.sections import vae
from jaxvae.models.vae import Posterior

from .labelled import value


def test_silhouette_is_high_where_effects_are_apart():
    effect = np.arange(60, dtype=np.int32) % 3
    apart = np.eye(4)[effect] + np.random.default_rng(0).normal(0, 0.05, (60, 4))
    (score,) = vae.silhouette(apart, effect)
    assert score.value > 0.8
    assert vae.silhouette(apart, np.zeros(60, np.int32)) == []
    assert vae.silhouette(np.zeros((60, 1)), effect) == []


def test_divergence_and_active_units_are_those_of_the_dimensions_in_use():
    mean = np.zeros((1_000, 4), np.float32)
    mean[:, 0] = np.random.default_rng(0).normal(size=1_000)
    scores = vae.latent(Posterior(mean, np.zeros_like(mean)))
    assert value(scores, "kl", "") == pytest.approx(0.5, rel=0.1)  # half of the variance of the mean
    assert value(scores, "active_units", "") == 1
    assert value(scores, "active_share", "") == 0.25
