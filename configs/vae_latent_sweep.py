"""Latent sizes 32 to 256, four seeds each, as one compiled program: sizes by mask, so all share one network's shapes.

python -m launch.train configs/vae_latent_sweep.py --workdir runs/latents
python -m analysis.sweep_table runs/latents

Expected, two CPU cores: 12 minutes and 5 GB of memory, then 3 minutes for the table. Means and standard deviations over
four seeds, effects at random settings on unseen recordings (chance 17 %, PCA-128 34 %, fresh weights 32 %), measured
before the table had hand-made statistics and probes that choose their penalties:

latent size   −ELBO (nats a clip)   effect (logistic regression)   settings, mean R²
32            16,709 ± 189          32.6 ± 1.2 %                   .10 ± .01
64            15,901 ± 266          35.8 ± 1.3 %                   .10 ± .01
128           15,525 ± 87           35.8 ± 2.3 %                   .10 ± .00
256           15,320 ± 149          36.9 ± 1.0 %                   .11 ± .01
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
