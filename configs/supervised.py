"""The encoder of mda_six trained for nothing but to read effect and settings, with the dry clip at hand: the other
witness, beside the search, of what can be known of a setting at all.

python -m launch.train configs/supervised.py --workdir runs/supervised
python -m analysis.ceiling configs/supervised.py --out runs/supervised.json --supervised runs/supervised

With convolutions, before the encoder heard numbers, after 19 minutes on one core: R2 of .69 for the left delay, .97 for
muffle, below .2 for attack, bias and fine.
"""

import dataclasses

from configs import mda_six
from jaxvae.sweep import Sweep

config = dataclasses.replace(
    mda_six.config,
    name="supervised",
    objective=dataclasses.replace(
        mda_six.config.objective, elbo_weight=0.0, contrastive_weight=0.0, dry_share=1.0, reading_noise=0.0
    ),
    sweep=Sweep(),
)
