"""Colours and markers."""

import numpy as np
from scipy.spatial.distance import pdist

from analysis.pictures import style


def test_colours_of_the_plane_are_different_even_without_red_and_green():
    corners = np.array([[0, 0], [1, 0], [0, 1], [1, 1], [0.5, 0.5]], float)
    colours = style.plane_colours(corners)
    assert ((colours >= 0) & (colours <= 1)).all()
    luminance = colours @ [0.2126, 0.7152, 0.0722]
    blue_yellow = colours[:, 2] - colours[:, :2].mean(axis=1)
    assert pdist(np.stack([luminance, blue_yellow], axis=1)).min() > 0.1
    assert luminance[2:4].min() > luminance[:2].max() + 0.3


def test_effects_have_styles_of_their_own():
    styles = {tuple(style.effect_style(index).values()) for index in range(50)}
    assert len(styles) == 50
