"""Pictures of a run itself."""

import dataclasses

import numpy as np

from analysis.pictures import curves
from jaxvae import config


def test_curves_say_nats_only_where_they_are_and_count_active_dimensions(tiny):
    scalars = {"train/loss": np.array([[1, 9.0], [2, 8.0]]), "latent/active_share": np.array([[1, 0.0], [2, 0.75]])}
    squared = dataclasses.replace(tiny, objective=config.Objective(reconstruction="mean_squared"))
    for experiment, title in ((tiny, "loss (nats a clip)"), (squared, "loss")):
        loss, active = curves.plot_training(scalars, experiment).axes
        assert loss.get_title() == title
        assert active.get_title() == "active latent dimensions, of 8"
        np.testing.assert_array_equal(active.lines[0].get_ydata(), [0, 6])
