"""Grant's (2023) own network, objective and beta curve, on the data of mda_six, for comparison.

python -m launch.train configs/grant2023.py --workdir runs/grant2023

It meets as many clips as grant2023_objective. What differs from the original: all effects are in every batch,
validation covers all of them at no beta, spectrograms are normalised by fixed statistics instead of the batch's, the
learning rate falls to 0 by half a cosine, no patience ends the run, and embeddings are posterior means.
"""

import dataclasses

from configs import grant2023_objective, mda_six
from jaxvae.config import Model, Spectrogram
from jaxvae.sweep import Sweep

config = dataclasses.replace(
    mda_six.config,
    name="grant2023",
    spectrogram=Spectrogram(
        n_fft=4_096, window_length=2_048, hop_length=1_024, scale="linear", compression="power", exponent=0.3
    ),
    model=Model(backbone="grant2023", latent_dim=128, content_dim=0),
    objective=grant2023_objective.config.objective,
    train=dataclasses.replace(
        grant2023_objective.config.train,
        steps=8 * grant2023_objective.config.train.steps,
        batch_size=12,
        validate_every=8 * grant2023_objective.config.train.validate_every,
        learning_rate=5e-4,
        warmup_steps=0,
        weight_decay=0.0,
        gradient_norm=1e9,
    ),
    sweep=Sweep(),
)
