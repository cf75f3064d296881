"""The week of Grant (2023) in one command: 16 runs of his network.

python -m launch.train configs/grant2023_week.py --workdir runs/grant2023_week
python -m analysis.sweep_table runs/grant2023_week

His report names latent sizes of 32 to 256, peaks of beta on both sides of 1e-3 and shorter windows; which combinations
he trained is not known. The window changes the program, so there are two groups of eight members. Tried for a few
steps only: two CPU cores, at some 12 clips a second, would take a day and a half.
"""

import dataclasses

from configs import grant2023
from jaxvae.sweep import grid

config = dataclasses.replace(
    grant2023.config,
    name="grant2023_week",
    sweep=grid(
        {
            "spectrogram.window_length": (2_048, 1_024),
            "objective.beta.maximum": (1e-3, 5e-3),
            "model.latent_dim": (32, 64, 128, 256),
        }
    ),
)
