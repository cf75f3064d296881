"""Latent sizes 32 to 256, four seeds each, as one compiled program: sizes by mask, so all share one network's shapes.

python -m launch.train configs/vae_latent_sweep.py --workdir runs/latents
python -m analysis.sweep_table runs/latents
"""

import dataclasses

from configs import vae_base
from jaxvae.config import Beta, Objective
from jaxvae.sweep import grid

config = dataclasses.replace(
    vae_base.config,
    name="vae_latent_sweep",
    objective=Objective(beta=Beta(cycle_length=150, cycle_unit="step")),  # one cycle, of which half ramps
    train=dataclasses.replace(vae_base.config.train, steps=150, validate_every=50, patience=0),
    sweep=grid({"model.latent_dim": (32, 64, 128, 256), "train.seed": range(4)}),
)
