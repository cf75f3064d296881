"""The seed's six effects, by the mda plug-ins themselves, over 2.9 h of speech and music.

apt-get install mda-lv2 fillets-ng-data-cs colobot-common-sounds
python -m launch.train configs/mda_six.py --workdir runs/mda_six
python -m analysis.report runs/mda_six

Expected, two CPU cores: 15 minutes with the report; -ELBO 10,340 nats per clip; on unseen recordings 60 % (logistic
regression, chance 17 %, PCA-128 55 %, MFCC statistics 72 %) of the effects at random settings, mean R² of the settings
.10 (PCA-128 .06).
"""

import dataclasses

from configs import vae_base

config = dataclasses.replace(
    vae_base.config,
    name="mda_six",
    data=dataclasses.replace(
        vae_base.config.data,
        effects=("mda/Delay", "mda/Overdrive", "mda/Ambience", "mda/RingMod", "mda/Combo", "mda/Dynamics"),
        audio=("/usr/share/games/fillets-ng/sound/*/cs", "/usr/share/games/colobot/music"),
        train_clips=16_800,
        validation_clips=1_200,
        test_clips=2_016,
    ),
    train=dataclasses.replace(vae_base.config.train, steps=1_750, validate_every=350, patience=0),
)
