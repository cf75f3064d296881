"""The sections of the scoreboard: every file that ends with a `SECTION` stands in this list, in the order of the page.

A figure is added in its section's file alone; a new section is a file and a line here.
"""

from analysis.sections import effect, invariance, paths, settings, unseen, vae

SECTIONS = (effect.SECTION, settings.SECTION, paths.SECTION, invariance.SECTION, vae.SECTION, unseen.SECTION)
FIGURES = {name: figure for section in SECTIONS for name, figure in section.figures.items()}
