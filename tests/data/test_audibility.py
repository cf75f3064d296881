"""Log-spectral distance of changes whose size in dB is known."""

import librosa
import numpy as np
import pytest

from jaxvae.data import audibility

RATE = 8_000
RNG = np.random.default_rng(0)
NOISE = 0.1 * RNG.normal(size=(2, 16_384)).astype(np.float32)


def distance(wet, dry=NOISE):
    return audibility.log_spectral_distance(np.asarray(wet, np.float32), dry, RATE)


def filtered(audio, gain):
    """Audio whose spectrum is multiplied by `gain(frequency in Hz)`."""
    frequency = np.fft.rfftfreq(audio.shape[1], 1 / RATE)
    return np.fft.irfft(np.fft.rfft(audio) * gain(frequency), audio.shape[1])


@pytest.mark.parametrize("gain", [1.0, -1.0, 0.01, 20.0])
def test_gain_and_polarity_cannot_be_heard(gain):
    assert distance(gain * NOISE) == pytest.approx([0, 0], abs=0.01)
    assert not audibility.audible((gain * NOISE).astype(np.float32), NOISE, RATE).any()


def test_a_gain_for_a_share_of_the_time_counts_by_the_root_of_the_share():
    gain = np.where(np.arange(16_384) < 16_384 * 0.3, 10 ** (3 / 20), 1.0)
    assert distance(0.2 * gain * NOISE) == pytest.approx(3 * np.sqrt(0.3) * np.ones(2), rel=0.03)


@pytest.mark.parametrize("decibel", [-6.0, 3.0])
def test_a_shelf_counts_by_the_root_of_the_share_of_its_bands(decibel):
    centre = librosa.mel_frequencies(42, fmin=0, fmax=RATE / 2)[1:-1]  # of 40 bands, of which 11 lie above the shelf's
    shelf = filtered(NOISE, lambda f: np.where(f > centre[28], 10 ** (decibel / 20), 1.0))
    half = 10 * np.log10((1 + 10 ** (decibel / 10)) / 2)
    assert distance(shelf) == pytest.approx(np.sqrt((11 * decibel**2 + half**2) / 40) * np.ones(2), rel=0.03)


def test_steeper_than_half_a_decibel_is_heard_only_from_one_on():
    tilt = {slope: filtered(NOISE, lambda f, slope=slope: 10 ** (slope * f / 4_000 / 20)) for slope in (1.0, 8.0)}
    assert not audibility.audible(tilt[1.0].astype(np.float32), NOISE, RATE).any()
    assert audibility.audible(tilt[8.0].astype(np.float32), NOISE, RATE).all()


def test_noise_far_below_the_clip_cannot_be_heard_and_near_it_can():
    hiss = RNG.normal(size=NOISE.shape)
    assert not audibility.audible((NOISE + 1e-3 * hiss).astype(np.float32), NOISE, RATE).any()  # -40 dB
    assert audibility.audible((NOISE + 0.1 * hiss).astype(np.float32), NOISE, RATE).all()


def test_silence_counts_for_nothing():
    gain = np.where(np.arange(16_384) < 16_384 * 0.3, 10 ** (3 / 20), 1.0)
    silence = np.zeros((2, 50_000), np.float32)
    longer = distance(np.concatenate([gain * NOISE, silence], axis=1), np.concatenate([NOISE, silence], axis=1))
    assert longer == pytest.approx(distance(gain * NOISE), rel=0.03)


def test_an_echo_into_silence_is_as_far_as_the_range():
    dry = np.concatenate([NOISE, np.zeros_like(NOISE)], axis=1)
    wet = np.concatenate([NOISE, NOISE], axis=1)
    assert distance(wet, dry) == pytest.approx(
        50 / np.sqrt(2) * np.ones(2), rel=0.1
    )  # the noise is some 10 dB below its loudest


def test_distance_is_symmetric():
    decaying = (NOISE * 10 ** (-4 * np.arange(16_384) / 16_384)).astype(np.float32)  # by 80 dB, below the range
    for wet in (filtered(decaying, lambda f: 1 / (1 + f / 500)), decaying + 30 * NOISE * (np.arange(16_384) < 1_000)):
        assert distance(wet, decaying) == pytest.approx(distance(decaying, wet.astype(np.float32)))


def test_a_sine_counts_the_same_at_low_and_high_frequencies():
    time = np.arange(16_384) / RATE
    swell = np.sin(np.pi * time / time[-1]) ** 4  # no clicks
    low, high = (swell * np.sin(2 * np.pi * frequency * time) for frequency in (300, 3_500))
    for loud, soft in ((low, high), (high, low)):
        dry = loud[None].astype(np.float32)
        near, far = ((loud + 10 ** (decibel / 20) * soft)[None] for decibel in (-57, -63))
        assert distance(near, dry) > 0.2  # within the range of 60 dB in the middle
        assert distance(far, dry) < 0.05


def test_steps_along_a_path_add_up():
    gains = 10 ** (np.arange(5) / 20)  # 1 dB a setting, over 30 % of the time
    early = np.arange(16_384) < 16_384 * 0.3
    renders = np.stack([np.where(early, gain, 1.0) * NOISE[0] for gain in gains]).astype(np.float32)
    steps = audibility.log_spectral_distance(renders[1:], renders[:-1], RATE)
    assert steps.sum() == pytest.approx(4 * np.sqrt(0.3), rel=0.03)
    assert (audibility.log_spectral_distance(renders[[2, 2]], renders[[2, 2]], RATE) == 0).all()


def test_silent_and_broken_clips_are_refused():
    for broken in (0.0, np.nan):
        wet = NOISE.copy()
        wet[1] = broken
        with pytest.raises(ValueError, match="clip 1 is silent or not finite"):
            distance(wet)
