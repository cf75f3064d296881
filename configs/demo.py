"""The demonstration: from the bundled recordings to a map of six effects, in minutes on two cores.

python -m launch.train configs/demo.py --workdir runs/demo
python -m analysis.report runs/demo

Not run since the split model became the default: no figure to expect yet.
"""

import dataclasses

from configs import vae_base
from jaxvae.config import Beta, Objective

config = dataclasses.replace(
    vae_base.config,
    name="demo",
    data=dataclasses.replace(vae_base.config.data, train_clips=12_000),
    objective=Objective(beta=Beta(schedule="linear", cycle_length=300, cycle_unit="step")),
    train=dataclasses.replace(
        vae_base.config.train,
        steps=900,
        batch_size=96,
        validate_every=300,
        patience=0,
        learning_rate=2e-3,
        warmup_steps=100,
        weight_decay=0.01,
    ),
)
