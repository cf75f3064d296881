"""Sizes of boards that tests measure in seconds."""

from analysis.renders.sizes import Sizes

SIZES = Sizes(
    fit_clips=16,
    pairs=32,
    gallery=40,
    fixed_clips=8,
    settings=20,
    path_clips=2,
    path_steps=5,
    degraded_pairs=8,
    components=8,
)
