"""A map of a tiny run: both effects, and each, of few points."""

import numpy as np
import pytest
import soundfile

from analysis.latent_map import source
from analysis.latent_map.atlas import Atlas
from jaxvae import inference


@pytest.fixture(scope="package")
def encoder(trained):
    """The tiny run."""
    return inference.load_encoder(trained)


@pytest.fixture(scope="package")
def chirp(tmp_path_factory):
    """A quiet stereo file of four seconds at 22,050 Hz: a sweep beside noise, so that no two moments are alike."""
    time = np.arange(4 * 22_050) / 22_050
    rng = np.random.default_rng(3)
    sweep = np.sin(2 * np.pi * (100 + 800 * time) * time) + 0.2 * rng.normal(size=len(time))
    audio = 0.03 * np.stack([sweep, 0.5 * np.roll(sweep, 100)], axis=1)
    path = tmp_path_factory.mktemp("chirp") / "chirp.wav"
    soundfile.write(path, audio, 22_050, "FLOAT")
    return path


@pytest.fixture(scope="package")
def chirp_source(chirp):
    """The same, read."""
    return source.of_file(chirp, "chirp", "chirp")


@pytest.fixture(scope="package")
def atlas(encoder, chirp_source, tmp_path_factory):
    """Maps of 120 points, the first 60 of which are laid out first; that of Delay and that of all are built."""
    folder, uploads = tmp_path_factory.mktemp("maps"), tmp_path_factory.mktemp("uploads")
    made = Atlas(encoder, encoder.effects, chirp_source, folder, uploads, 120, 0, first=60, apart=False)
    for id in ("pedalboard-delay", "all"):
        while made.build(id).doing != "nothing":
            made.build(id).step()
    return made
