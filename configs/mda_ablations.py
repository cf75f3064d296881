"""What each part of the model is worth: one change at a time from configs/mda_six.py, shorter.

python -m launch.train configs/mda_ablations.py --workdir runs/ablations
python -m analysis.comparison runs/ablations --config configs/mda_ablations.py --ceiling runs/ceiling.json \\
    --out analysis/ablations.md

17 trainings of 1 to 5 minutes on one core, or one member at a time as analysis/ablations.md says, whose table is of the
first 14 as they were with convolutions.
"""

import dataclasses

from configs import mda_six
from jaxvae.config import Beta
from jaxvae.sweep import listed

GRANT_BETA = {
    "objective.beta.schedule": "grant2023",
    "objective.beta.minimum": 1e-4,
    "objective.beta.maximum": 1e-3,
    "objective.beta.cycle_length": 17,
    "objective.beta.cycle_unit": "epoch",
    "train.epoch_clips": 312,  # as many epochs in 300 steps as the whole training has
}
NO_HEADS = {"objective.effect_weight": 0.0, "objective.settings_weight": 0.0}
CONVOLUTIONS = {"model.fine_structure": False, "objective.source_share": 0.0}
PLAIN = {"model.content_dim": 0, "objective.contrastive_weight": 0.0, "objective.swap": 0.0}

CHANGES = {
    "the model": {},
    "no heads": NO_HEADS,
    "no contrastive pairs": {"objective.contrastive_weight": 0.0},
    "no swaps": {"objective.swap": 0.0},
    "always swaps": {"objective.swap": 1.0},
    "blind only": {"objective.dry_share": 0.0, "objective.source_share": 0.0},
    "dry-aware only": {"objective.dry_share": 1.0},
    "no ELBO (supervised)": {"objective.elbo_weight": 0.0},
    "ten times the ELBO": {"objective.elbo_weight": 0.01},
    "swaps alone": {**NO_HEADS, "objective.contrastive_weight": 0.0},
    "attention over time": {**CONVOLUTIONS, "model.attention": True},
    "plain VAE with heads": PLAIN,
    "plain VAE": {**PLAIN, **NO_HEADS},
    "Grant's (2023) objective": {
        **PLAIN,
        **NO_HEADS,
        **GRANT_BETA,
        "objective.reconstruction": "mean_squared",
        "objective.elbo_weight": 1.0,
    },
    "convolutions in place of numbers": CONVOLUTIONS,
    "no source-aware blocks": {"objective.source_share": 0.0},
    "no dropout": {"objective.dropout": 0.0},
}

config = dataclasses.replace(
    mda_six.config,
    name="mda_ablations",
    objective=dataclasses.replace(
        mda_six.config.objective, beta=Beta(schedule="linear", cycle_length=100, cycle_unit="step")
    ),
    train=dataclasses.replace(mda_six.config.train, steps=300, batch_size=96, validate_every=300, warmup_steps=100),
    sweep=listed({"name": name, **changes} for name, changes in CHANGES.items()),
)
