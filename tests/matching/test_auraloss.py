"""The multi-resolution STFT distance beside auraloss (extra: evaluation)."""

import numpy as np
import pytest

from jaxvae.matching import distances

pytestmark = pytest.mark.evaluation


def test_multi_resolution_stft_is_that_of_auraloss():
    import auraloss
    import torch

    rng = np.random.default_rng(0)
    target = 0.1 * rng.normal(size=(3, 24_000)).astype(np.float32)
    audio = np.stack([target[0], 0.3 * target[1], np.roll(target[2], 7)]).astype(np.float32)
    audio[1, 5_000:9_000] = 0
    ours = distances.multi_resolution_stft(audio, target)
    loss = auraloss.freq.MultiResolutionSTFTLoss()
    for row in range(3):
        theirs = float(loss(torch.from_numpy(audio[row, None, None]), torch.from_numpy(target[row, None, None])))
        np.testing.assert_allclose(ours[row], theirs, rtol=2e-4, atol=1e-5)
