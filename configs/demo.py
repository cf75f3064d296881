"""The demonstration: from the bundled recordings to a map of six effects, in minutes on two cores.

python -m launch.train configs/demo.py --workdir runs/demo
python -m analysis.report runs/demo

Expected on the validation recordings, half of whose clips are degraded and a seventh untouched (chance 14 %): 51 % of
the effects blind, 59 % source-aware and 78 % dry-aware. The bundled recordings are few: after 1,500 steps the settings
of unseen ones are read worse than after 600.
"""

import dataclasses

from configs import vae_base
from jaxvae.config import Beta, Objective

config = dataclasses.replace(
    vae_base.config,
    name="demo",
    data=dataclasses.replace(vae_base.config.data, train_clips=12_000),
    objective=Objective(beta=Beta(schedule="linear", cycle_length=200, cycle_unit="step")),
    train=dataclasses.replace(
        vae_base.config.train,
        steps=600,
        batch_size=384,
        validate_every=200,
        patience=0,
        learning_rate=2e-3,
        warmup_steps=100,
        weight_decay=0.01,
    ),
)
