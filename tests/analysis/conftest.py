"""What tests of analyses share: a data set, encoders with fresh weights, and quick maps."""

import dataclasses
import functools

import jax
import numpy as np
import pytest
from sklearn.decomposition import PCA

from analysis.metrics import layout, probes
from jaxvae import effects, inference, views
from jaxvae.data import dataset
from jaxvae.models.vae import VAE
from jaxvae.training import vae_steps
from jaxvae.training.hyperparams import hyperparams


@pytest.fixture(scope="session")
def data(tiny):
    return dataset.render(dataclasses.replace(tiny, name="analysed"), progress=False)


@pytest.fixture(scope="session")
def fresh(data):
    """Makes encoders with fresh weights: what is tested here does not depend on training."""
    normalisation = views.measure(data.split("train").audio(np.arange(24)), data.experiment)
    model, experiment, numbers = VAE(data.experiment.model), data.experiment, views.numbers(data.experiment)
    create = jax.jit(
        functools.partial(
            vae_steps.create, model=model, bins=experiment.bins, frames=experiment.frames, numbers=numbers
        )
    )

    def make(seed):
        state = create(hyperparams(experiment)._replace(seed=jax.numpy.asarray(seed)))
        return inference.SpectrogramEncoder(
            experiment, normalisation, state.weights, (), data.identity, (str(data.folder),)
        )

    return make


@pytest.fixture(scope="session")
def encoder(fresh):
    return fresh(0)


@pytest.fixture(scope="session")
def kinds(data):
    return list(data.effects)


@pytest.fixture(scope="module")
def quick_map():
    """Principal components in the place of UMAP, which compiles for seconds; UMAP itself has a test of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layout, "fit", lambda features, seed=0: PCA(2, random_state=seed).fit_transform(features))
        yield


@pytest.fixture(scope="session")
def silence():
    """Lets every render of one effect be silent."""

    def silence(patch, kind):
        render_many = effects.render_many

        def partly(chosen, dry, normalized, sample_rate, workers):
            wet = render_many(chosen, dry, normalized, sample_rate, workers)
            return np.where(np.array([one == kind for one in chosen])[:, None], np.float32(0), wet)

        patch.setattr(effects, "render_many", partly)

    return silence


@pytest.fixture(scope="session", autouse=True)
def few_trees():
    """Boards of tests are of few clips, which few trees answer as well."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("FOREST", "TREES", "REGRESSION_TREES"):
            patch.setattr(probes, name, 8)
        yield
