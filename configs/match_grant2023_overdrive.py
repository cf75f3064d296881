"""Grant's (2023) form of style matching: a controller of one effect, mda Overdrive, on the bundled recordings.

python -m launch.train configs/match_grant2023_overdrive.py --workdir runs/match_overdrive
python -m analysis.audio_loss runs/match_overdrive --out runs/match_overdrive/audio_loss

The first command trains the posterior, the second an audio loss through the plug-in, after it and in its place; the
original had the latter alone, with a derivative of one random pair. For another effect: --data.effects mda/RingMod.
"""

import dataclasses

from configs import match_demo
from jaxvae.config import Data

config = dataclasses.replace(
    match_demo.config,
    name="match_grant2023_overdrive",
    data=Data(effects=("mda/Overdrive",), train_clips=6_000, validation_clips=400, test_clips=400),
    train=dataclasses.replace(match_demo.config.train, steps=1_000, validate_every=200),
)
