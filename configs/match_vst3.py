"""Style matching through a VST3 plug-in of one's own, on the bundled recordings, or on any by --data.audio.

python -m launch.train configs/match_vst3.py --workdir runs/mine --data.effects vst3:/path/to/plugin.vst3
python -m launch.match dry.wav reference.wav -o out.wav --run runs/mine --preset out.vstpreset

Without --data.effects it is pedalboard's phaser. All that the plug-in lets one automate without steps is learnt.
"""

import dataclasses

from configs import match_demo
from jaxvae.config import Data

config = dataclasses.replace(
    match_demo.config,
    name="match_vst3",
    data=Data(effects=("pedalboard/Phaser",), train_clips=6_000, validation_clips=400, test_clips=400),
    train=dataclasses.replace(match_demo.config.train, steps=1_000, validate_every=200),
)
