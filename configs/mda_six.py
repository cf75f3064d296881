"""Grant's (2023) six effects, by the mda plug-ins themselves: trained on 6.5 h of speech, music and drums, tested on
speakers and music of another package.

apt-get install mda-lv2 fillets-ng-data-cs colobot-common-sounds wesnoth-1.16-music hydrogen-drumkits klettres-data \\
    ktuberling-data hedgewars-data
python -m launch.train configs/mda_six.py --workdir runs/mda_six
python -m analysis.scoreboard runs/mda_six --out runs/mda_six/scoreboard

Three seeds, each ten minutes on two cores (--member 0 trains the first alone), after twenty that all share. Expected of
the first, on the test package by logistic regression: 84 % of the effects blind, 86 source-aware and 95 dry-aware
(waveform statistics 83, 83 and 90 %, with fine statistics 83, 83 and 92 %); R2 of the settings .30, .31 and .47 (.20,
.23 and .42 of both statistics).
"""

import dataclasses

from configs import vae_base
from jaxvae.config import Beta, Objective
from jaxvae.sweep import grid

config = dataclasses.replace(
    vae_base.config,
    name="mda_six",
    data=dataclasses.replace(
        vae_base.config.data,
        effects=("mda/Delay", "mda/Overdrive", "mda/Ambience", "mda/RingMod", "mda/Combo", "mda/Dynamics"),
        audio=(
            "/usr/share/games/fillets-ng/sound/*/cs",
            "/usr/share/games/colobot/music",
            "/usr/share/games/wesnoth/1.16/data/core/music",
            "/usr/share/hydrogen/data/drumkits",
            "/usr/share/klettres",
            "/usr/share/ktuberling/sounds",
        ),
        test_audio=("/usr/share/games/hedgewars/Data/Sounds/voices", "/usr/share/games/hedgewars/Data/Music"),
        train_clips=72_000,
        validation_clips=1_200,
        test_clips=2_400,
    ),
    objective=Objective(beta=Beta(schedule="linear", cycle_length=1_600, cycle_unit="step")),
    train=dataclasses.replace(
        vae_base.config.train,
        steps=4_800,
        batch_size=384,
        validate_every=1_200,
        patience=0,
        learning_rate=2e-3,
        warmup_steps=200,
        weight_decay=0.01,
    ),
    sweep=grid({"train.seed": range(3)}),
)
