"""The matcher of every effect there is, nine of mda and sixteen of pedalboard, on the clips of `pretrained`.

What to install and to compose is said in configs/pretrained.py, whose data set this takes if it is there.

python -m launch.train configs/match_pretrained.py --workdir runs/match_pretrained
python -m analysis.match_scoreboard runs/match_pretrained --out runs/match_pretrained/scoreboard
"""

import dataclasses

from configs import pretrained
from jaxvae.config import MatchExperiment

config = MatchExperiment(
    name="match_pretrained",
    data=pretrained.config.data,
    train=dataclasses.replace(pretrained.config.train, steps=8_000, validate_every=1_000),
)
