"""The model that is shipped: every effect there is, nine of mda and sixteen of pedalboard, on all the kinds of sound
that come with Debian, and composed ones.

apt-get install mda-lv2 fillets-ng-data-cs colobot-common-sounds wesnoth-1.16-music hydrogen-drumkits klettres-data \\
    ktuberling-data sonic-pi-samples lmms-common hydrogen-drumkits-effects supertux-data freedroidrpg-data \\
    warzone2100-music fluidsynth fluid-soundfont-gm timgm6mb-soundfont espeak-ng
python -m launch.compose runs/composed --minutes 150
python -m launch.train configs/pretrained.py --workdir runs/pretrained
python -m analysis.card runs/pretrained --out runs/pretrained/card.md
python -m analysis.scoreboard runs/pretrained --out runs/pretrained/scoreboard --sizes.fit-clips 60 \\
    --sizes.fixed-clips 30 --sizes.settings 100 --sizes.path-clips 1 --sizes.pairs 600 --sizes.gallery 1100
python -m launch.release runs/pretrained jaxvae/pretrained/all_effects

On two cores 22 minutes of rendering, 24 of transforms and 16 of training. Expected on the validation recordings, half
of whose clips are degraded and one in 26 untouched (chance 4 %): 38 % of the effects blind, 44 % source-aware and 64 %
dry-aware; on test recordings what the card says (jaxvae/pretrained/CARD.md).
"""

import dataclasses

from configs import mda_six
from jaxvae.config import Beta
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
AUDIO = (
    *mda_six.config.data.audio,
    "/usr/share/sonic-pi/samples",
    "/usr/share/lmms/samples",
    "/usr/share/hydrogen/data/drumkits/belofilms_GuitarStrums",  # of the folder above; used once, as all copies are
    "runs/composed",
)
TEST_AUDIO = (
    "/usr/share/games/supertux2",
    "/usr/share/freedroidrpg/data/sound",
    "/usr/share/games/warzone2100/music",
)

config = dataclasses.replace(
    mda_six.config,
    name="pretrained",
    data=dataclasses.replace(
        mda_six.config.data,
        effects=EFFECTS,
        audio=AUDIO,
        test_audio=TEST_AUDIO,
        train_clips=120_000,
        validation_clips=2_500,
        test_clips=5_000,
    ),
    objective=dataclasses.replace(
        mda_six.config.objective,
        beta=Beta(schedule="linear", cycle_length=3_000, cycle_unit="step"),
        # Decoding a clip costs as much as encoding thirty, and nothing but the picture is better for it.
        reconstructed_blocks=8,
        reading_noise=0.3,
    ),
    train=dataclasses.replace(mda_six.config.train, steps=12_000, validate_every=2_000),
    sweep=Sweep(),
)
