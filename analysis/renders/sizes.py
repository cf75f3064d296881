"""How much is rendered and measured; options of commands, so this imports nothing that takes long."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Sizes:
    """How many clips the figures are measured on."""

    fit_clips: int = 150
    """Dry clips that probes are fitted on; each meets every effect."""
    pairs: int = 1_100
    """Random settings that probes are scored on, each over clips of two unseen recordings."""
    gallery: int = 1_100
    """Clips among which the same setting is looked for: one of each pair, and the rest at settings of their own."""
    fixed_clips: int = 100
    """Unseen dry clips with all settings at the middle, and of those to fit on; each meets every effect. 0: none."""
    settings: int = 240
    """Random settings of each effect on one known clip. 0: none."""
    path_clips: int = 4
    """Unseen dry clips, of as many recordings as there are, on which every parameter is moved."""
    path_steps: int = 20
    degraded_pairs: int = 300
    """Random settings, each over one unseen recording, that are degraded after the effect in each way there is.
    0: none."""
    map_clips: int = 600
    """Clips on the map of which trustworthiness and silhouette are measured."""
    components: int = 128
    """Principal components of the baseline."""
