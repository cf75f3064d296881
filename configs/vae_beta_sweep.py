"""Beta from a tenth to ten times that of the ELBO, four seeds each, as one compiled program.

python -m launch.train configs/vae_beta_sweep.py --workdir runs/beta_sweep
python -m analysis.sweep_table runs/beta_sweep
"""

import dataclasses

from configs import demo
from jaxvae.sweep import grid

config = dataclasses.replace(
    demo.config,
    name="vae_beta_sweep",
    sweep=grid({"objective.beta.maximum": (0.1, 0.3, 1.0, 3.0, 10.0), "train.seed": range(4)}),
)
