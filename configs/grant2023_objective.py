"""Grant's (2023) objective and beta curve on the data, the spectrogram and a backbone of mda_six: a plain VAE without
heads, pairs or swaps, the squared error in the mean over pixels, beta from 0.0001 to 0.001.

python -m launch.train configs/grant2023_objective.py --workdir runs/grant2023_objective

What the scoreboard has to show is better. configs/grant2023.py has his own network as well.
"""

import dataclasses

from configs import mda_six
from jaxvae.config import Beta, Model, Objective

config = dataclasses.replace(
    mda_six.config,
    name="grant2023_objective",
    model=Model(latent_dim=128, content_dim=0),
    objective=Objective(
        reconstruction="mean_squared",
        beta=Beta(schedule="grant2023", minimum=1e-4, maximum=1e-3, cycle_length=17),
        reconstructed_clips=4,
        elbo_weight=1.0,
        swap=0.0,
        effect_weight=0.0,
        settings_weight=0.0,
        contrastive_weight=0.0,
    ),
    train=dataclasses.replace(
        mda_six.config.train,
        steps=2_400,
        batch_size=96,
        validate_every=600,
        warmup_steps=100,
        epoch_clips=2_500,
        weight_decay=0.0,
    ),
)
