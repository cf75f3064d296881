"""The demonstration: from the bundled recordings to a map of six effects, in minutes on two cores.

python -m launch.train configs/demo.py --workdir runs/demo
python -m analysis.report runs/demo

Expected: 9 minutes with the set-up. On 12 unseen recordings at random settings, dry-aware, 75 % of the effects by
logistic regression (waveform and fine statistics 73 %) and an R2 of .38 (.35); blind, 45 % and .13 (47 % and .11): the
bundled recordings are few. On the dry-aware map distortion and chorus lie apart, delay and reverb together.
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
