"""Beta from a tenth to ten times that of the ELBO, four seeds each, as one compiled program.

python -m launch.train configs/vae_beta_sweep.py --workdir runs/betas
python -m analysis.sweep_table runs/betas

A quarter more than `vae_latent_sweep`, and so is its time. Not run yet.
"""

import dataclasses

from configs import vae_latent_sweep
from jaxvae.sweep import grid

config = dataclasses.replace(
    vae_latent_sweep.config,
    name="vae_beta_sweep",
    sweep=grid({"objective.beta.maximum": (0.1, 0.3, 1.0, 3.0, 10.0), "train.seed": range(4)}),
)
