"""Every effect there is, nine of mda and sixteen of pedalboard, in one model, on the recordings of mda_six.

apt-get install mda-lv2 fillets-ng-data-cs colobot-common-sounds wesnoth-1.16-music hydrogen-drumkits klettres-data \\
    ktuberling-data hedgewars-data
python -m launch.train configs/all_effects.py --workdir runs/all_effects
python -m analysis.scoreboard runs/all_effects --out runs/all_effects/scoreboard --sizes.fit-clips 60 \\
    --sizes.fixed-clips 30 --sizes.settings 100 --sizes.path-clips 1 --sizes.pairs 600 --sizes.gallery 1100

Ten minutes on one core after ten of rendering. Measured with convolutions, before the encoder heard numbers: dry-aware,
58 % of the 25 effects by logistic regression (MFCC 38 %) and R2 .42 (fresh weights .21); blind, 28 % (MFCC 22 %) and
.15 (.03).
"""

import dataclasses

from configs import mda_six
from jaxvae.sweep import Sweep

EFFECTS = (
    "pedalboard/Delay",
    "pedalboard/Distortion",
    "pedalboard/Clipping",
    "pedalboard/Bitcrush",
    "pedalboard/Reverb",
    "pedalboard/Compressor",
    "pedalboard/Limiter",
    "pedalboard/NoiseGate",
    "pedalboard/Chorus",
    "pedalboard/Phaser",
    "pedalboard/LadderFilter",
    "pedalboard/LowShelfFilter",
    "pedalboard/HighShelfFilter",
    "pedalboard/PeakFilter",
    "pedalboard/HighpassFilter",
    "pedalboard/LowpassFilter",
    "mda/Delay",
    "mda/Overdrive",
    "mda/Ambience",
    "mda/RingMod",
    "mda/Combo",
    "mda/Dynamics",
    "mda/ThruZero",
    "mda/Leslie",
    "mda/MultiBand",
)

config = dataclasses.replace(
    mda_six.config,
    name="all_effects",
    data=dataclasses.replace(
        mda_six.config.data,
        effects=EFFECTS,
        train_clips=40_000,
        validation_clips=1_200,
        test_clips=1_200,
    ),
    train=dataclasses.replace(mda_six.config.train, steps=1_200, batch_size=100, validate_every=600),
    sweep=Sweep(),
)
