"""Latent size x beta x seed on the data of mda_six: 24 members, one compiled program, sizes by mask.

python -m launch.train configs/mda_grid.py --workdir runs/mda_grid
python -m analysis.sweep_structure runs/mda_grid --out runs/mda_grid/structure.png

Expected on two cores, with XLA_FLAGS=--xla_force_host_platform_device_count=2: 20 minutes, and as long for the figure,
which is analysis/mda_grid.png: dry-aware, 83 to 86 % of the effects at any size and beta, R2 .31 to .35; that was
with convolutions and batches of 96, before the figure had hand-made statistics.
"""

import dataclasses

from configs import mda_six
from jaxvae.config import Beta, Model, Objective
from jaxvae.sweep import grid

config = dataclasses.replace(
    mda_six.config,
    name="mda_grid",
    model=Model(latent_dim=256),
    objective=Objective(beta=Beta(schedule="linear", cycle_length=60, cycle_unit="step")),
    train=dataclasses.replace(mda_six.config.train, steps=200, validate_every=200, warmup_steps=100),
    sweep=grid(
        {
            "model.latent_dim": (32, 64, 128, 256),
            "objective.beta.maximum": (0.1, 1.0, 10.0),
            "train.seed": range(2),
        }
    ),
)
