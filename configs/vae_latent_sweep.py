"""Latent sizes 32 to 256, four seeds each, as one compiled program: sizes by mask, so all share one network's shapes.

python -m launch.train configs/vae_latent_sweep.py --workdir runs/latent_sweep
python -m analysis.sweep_table runs/latent_sweep
"""

import dataclasses

from configs import demo
from jaxvae.sweep import grid

config = dataclasses.replace(
    demo.config,
    name="vae_latent_sweep",
    sweep=grid({"model.latent_dim": (32, 64, 128, 256), "train.seed": range(4)}),
)
