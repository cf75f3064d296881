"""Distances between renders: laws, and what librosa, scipy and closed forms say of them."""

import jax
import librosa
import numpy as np
import pytest
import scipy.signal

from jaxvae import effects
from jaxvae.data.audio import set_peak
from jaxvae.matching import distances

RATE = 24_000
SAMPLES = 5 * RATE


@pytest.fixture(scope="module")
def dry():
    """Noise bursts over a sweep: something in every band, with a rhythm."""
    rng = np.random.default_rng(0)
    time = np.arange(SAMPLES) / RATE
    bursts = rng.normal(size=SAMPLES) * np.exp(-8 * (time % 0.4))
    sweep = np.sin(2 * np.pi * (80 + 700 * time) * time)
    return set_peak((bursts + 0.3 * sweep).astype(np.float32), -12.0)


def described(dry, *clips):
    sounds = distances.describe(np.stack(clips).astype(np.float32), dry, sample_rate=RATE)
    return [jax.tree.map(lambda x, row=row: x[row : row + 1], sounds) for row in range(len(clips))]


def apart(dry, some, other):
    return {name: float(value[0]) for name, value in distances.apart(*described(dry, some, other)).items()}


@pytest.mark.debian("mda-lv2")
@pytest.mark.parametrize("name", effects.table())
def test_every_effect_at_its_true_settings_is_no_distance_away_at_any_level(dry, name):
    """The level of a reference says nothing, so it must not keep the right settings from being found."""
    kind = effects.get(name)
    row = np.random.default_rng(0).random(len(kind.parameters))
    wet = kind.render(dry, kind.settings(row), RATE)
    again = kind.render(dry, kind.settings(row), RATE)
    found = apart(dry, wet, -0.03 * again)
    assert max(found.values()) < 2e-3, found


def test_distances_are_symmetric_and_the_sum_is_in_their_units(dry):
    one, other = described(dry, dry, np.roll(dry, 3_000))
    forth, back = distances.apart(one, other), distances.apart(other, one)
    for name in forth:
        np.testing.assert_allclose(forth[name], back[name], rtol=1e-6)
    units = distances.UNITS_DB
    mean = np.mean([float(forth[name][0]) / units[name] for name in units])
    np.testing.assert_allclose(float(distances.distance(one, other)[0]), mean, rtol=1e-5)


def test_all_pairs_are_the_pairs_one_by_one(dry):
    clips = np.stack([dry, np.roll(dry, 700), dry**3, 0 * dry]).astype(np.float32)
    sounds = distances.describe(clips, dry, sample_rate=RATE)
    matrix = np.asarray(distances.pairwise(sounds))
    assert np.isfinite(matrix).all()
    for first in range(4):
        for second in range(4):
            one, other = (jax.tree.map(lambda x, row=row: x[row : row + 1], sounds) for row in (first, second))
            np.testing.assert_allclose(matrix[first, second], distances.distance(one, other)[0], rtol=1e-5, atol=1e-6)


def test_silence_is_finite_and_far_from_sound(dry):
    silent = np.zeros(SAMPLES, np.float32)
    assert apart(dry, silent, silent) == dict.fromkeys(distances.UNITS_DB, 0.0)
    assert all(np.isfinite(value) for value in apart(dry, silent, dry).values())
    assert apart(dry, silent, dry)["spectrum"] > 10
    assert all(np.isfinite(value) for value in apart(silent, dry, dry).values()), "a dry clip that is silent"


def test_spectrum_is_the_difference_of_librosas_mel_levels(dry):
    wet = scipy.signal.lfilter(*scipy.signal.butter(2, 800, fs=RATE), dry).astype(np.float32)

    def levels(audio):
        audio = audio / np.sqrt(np.mean(audio**2)) * 0.1
        power = librosa.feature.melspectrogram(
            y=audio, sr=RATE, n_fft=1_024, hop_length=511, n_mels=64, pad_mode="reflect"
        )
        return 10 * np.log10(np.maximum(power, 1e-20))

    difference = levels(wet) - levels(dry)
    loud = levels(wet) > levels(wet).max() - 40  # far above the floor, which librosa's levels do not have
    ours = np.asarray(distances.apart(*described(dry, wet, dry))["spectrum"])[0]
    sounds = described(dry, wet, dry)
    at_ours = np.asarray(sounds[0].spectrum - sounds[1].spectrum)[0]
    np.testing.assert_allclose(at_ours[loud], difference[loud], atol=0.02)
    np.testing.assert_allclose(ours, np.abs(at_ours).mean(), rtol=1e-5)


def test_decay_is_that_of_the_response_and_not_of_what_is_played(dry):
    """An exponential response falls by 60 dB in its reverberation time."""
    rng = np.random.default_rng(1)
    time = np.arange(RATE) / RATE
    for seconds in (0.3, 0.9):
        response = rng.normal(size=RATE) * 10 ** (-3 * time / seconds)
        noise = rng.normal(size=SAMPLES).astype(np.float32)  # of which every frequency tells
        noise[-RATE:] = 0  # so that no tail is cut
        wet = scipy.signal.fftconvolve(noise, response)[:SAMPLES]
        (sounds,) = described(noise, wet)
        curve = np.asarray(sounds.decay)[0]
        loud = np.arange(0, round(seconds * 0.25 / 0.005))  # down to -15 dB: what is deconvolved has noise of its own
        slope = np.polyfit(loud * 0.005, curve[loud], 1)[0]
        assert abs(slope * seconds / -60 - 1) < 0.12
    (sounds,) = described(dry, dry + 0.5 * np.concatenate([np.zeros(6_000), dry[:-6_000]]))
    curve = np.asarray(sounds.decay)[0]  # an echo of a fifth of the energy, after 250 ms
    np.testing.assert_allclose(curve[10:45].mean(), 10 * np.log10(0.25 / 1.25), atol=0.5)


def test_modulation_hears_the_rate_and_not_the_phase(dry):
    time = np.arange(SAMPLES) / RATE

    def tremolo(rate, phase=0.0):
        return (dry * (1 + 0.9 * np.sin(2 * np.pi * rate * time + phase))).astype(np.float32)

    phase = apart(dry, tremolo(3.0), tremolo(3.0, np.pi / 2))
    rate = apart(dry, tremolo(3.0), tremolo(9.0))
    assert phase["modulation"] < 0.6 * rate["modulation"]
    assert phase["spectrum"] > 0.75 * rate["spectrum"], "which is why the spectrum alone misleads"
    assert phase["colour"] < 0.1 * phase["spectrum"]


def test_more_of_an_effect_is_further_away(dry):
    kind = effects.get("pedalboard/Distortion")
    renders = [kind.render(dry, {"drive_db": drive}, RATE) for drive in (0.0, 6.0, 12.0, 24.0)]
    found = [float(distances.distance(*described(dry, dry, wet))[0]) for wet in renders]
    assert found == sorted(found) and found[-1] > 3 * found[1]


def test_multi_resolution_stft_is_what_scipy_gives_for_its_terms(dry):
    other = np.stack([dry, 0.5 * dry]).astype(np.float32)
    same, half = (float(value) for value in distances.multi_resolution_stft(other, np.stack([dry, dry])))
    assert same == 0.0
    # Half of every magnitude: a convergence of .5 and log 2 wherever neither is at the floor.
    assert half == pytest.approx(0.5 + np.log(2), abs=0.05)
    late = np.roll(dry, 60)
    (found,) = distances.multi_resolution_stft(late[None], dry[None])
    terms = []
    for n_fft, hop, length in distances._RESOLUTIONS:
        transform = scipy.signal.ShortTimeFFT(
            scipy.signal.get_window("hann", length), hop, RATE, mfft=n_fft, scale_to=None, phase_shift=None
        )
        ours, theirs = (np.maximum(np.abs(transform.stft(clip)[:, 30:-30]), 1e-4) for clip in (late, dry))
        terms.append(np.linalg.norm(theirs - ours) / np.linalg.norm(theirs) + np.abs(np.log(theirs / ours)).mean())
    assert float(found) == pytest.approx(np.mean(terms), rel=0.02)


def test_axes_say_where_numbers_are(dry):
    """A tone is in its band, a tremolo at its rate, a burst at its time, an echo at its delay."""
    axes = distances.axes(SAMPLES, RATE)
    time = np.arange(SAMPLES) / RATE
    noise = np.random.default_rng(2).normal(size=SAMPLES)
    burst = 1e-3 * noise
    burst[3 * RATE : 3 * RATE + 2_000] = noise[3 * RATE : 3 * RATE + 2_000]
    echo = np.concatenate([noise[:18_000], noise[18_000:] + noise[:-18_000]])
    tone, tremolo = np.sin(2 * np.pi * 1_500 * time), noise * (1 + 0.9 * np.sin(2 * np.pi * 4 * time))
    sounds = distances.describe(np.stack([tone, tremolo, burst, echo]).astype(np.float32), noise, sample_rate=RATE)
    assert sounds.spectrum.shape[1:] == (len(axes.band_hz), len(axes.frame_s))
    assert sounds.modulation.shape[1] == 8 * len(axes.rate_hz) and sounds.decay.shape[1] == len(axes.hop_s)
    assert axes.band_hz[np.argmax(sounds.colour[0, :64])] == pytest.approx(1_500, rel=0.06)
    assert axes.rate_hz[np.argmax(sounds.modulation[1].reshape(8, -1).mean(axis=0))] == pytest.approx(4, rel=0.17)
    assert axes.frame_s[np.argmax(sounds.spectrum[2].mean(axis=0))] == pytest.approx(3.04, abs=0.05)
    assert axes.hop_s[np.argmin(np.diff(sounds.decay[3])) + 1] == pytest.approx(0.75, abs=0.006)
