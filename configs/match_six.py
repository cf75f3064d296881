"""Style matching through Grant's (2023) six effects, by the mda plug-ins themselves, on the clips of `mda_six`.

What to install is said in configs/mda_six.py, whose data set this takes if it is there.

python -m launch.train configs/match_six.py --workdir runs/match_six
python -m analysis.match_scoreboard runs/match_six --out runs/match_six/scoreboard
"""

import dataclasses

from configs import mda_six
from jaxvae.config import MatchExperiment

config = MatchExperiment(
    name="match_six",
    data=mda_six.config.data,
    train=dataclasses.replace(mda_six.config.train, steps=6_000, validate_every=750),
)
