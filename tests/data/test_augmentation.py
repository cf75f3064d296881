import numpy as np
import pytest

from jaxvae.data import audio, augmentation
from jaxvae.data.augmentation import Augmentation

RATE, CLIP = 24_000, 24_000


def _sine(frequency: float, samples: int) -> np.ndarray:
    return audio.to_int16(0.5 * np.sin(2 * np.pi * frequency * np.arange(samples) / RATE).astype(np.float32))


@pytest.mark.parametrize("speed", [0.75, 1.0, 1.3])
def test_a_recording_played_faster_sounds_higher(speed: float) -> None:
    played = Augmentation(speed)
    clip = augmentation.apply(_sine(1_000, played.samples(CLIP)), played, CLIP, RATE)
    assert clip.shape == (CLIP,) and clip.dtype == np.float32
    assert np.argmax(np.abs(np.fft.rfft(clip))) == pytest.approx(1_000 * speed, abs=1)


def test_without_augmentation_a_clip_is_what_was_recorded() -> None:
    recorded = _sine(440, CLIP)
    assert np.array_equal(augmentation.apply(recorded, Augmentation(), CLIP, RATE), audio.to_float(recorded))


def test_a_filter_changes_levels_not_pitches_and_is_the_same_every_time() -> None:
    recorded = _sine(440, CLIP)
    clips = [augmentation.apply(recorded, Augmentation(1.0, seed), CLIP, RATE) for seed in (1, 1, 2)]
    assert np.array_equal(clips[0], clips[1])
    assert not np.allclose(clips[0], clips[2], rtol=0.01)
    for clip in clips:
        assert np.corrcoef(clip, recorded)[0, 1] > 0.999


def test_filters_tilt_by_some_decibels_and_half_of_them_cut_the_highest_octave() -> None:
    gains = np.stack([augmentation._gains_db(seed, CLIP, RATE) for seed in range(1, 400)])
    at = np.fft.rfftfreq(CLIP, 1 / RATE)
    assert gains[:, np.searchsorted(at, 640)].std() == pytest.approx(5.0, rel=0.15)
    assert np.mean(gains[:, -1] < -15) == pytest.approx(0.4, abs=0.12)


def test_draws_are_log_uniform_and_no_faster_than_the_recording_is_long() -> None:
    generator = np.random.default_rng(0)
    drawn = [augmentation.draw(generator, CLIP, 10 * CLIP) for _ in range(2_000)]
    speeds = np.log([played.speed for played in drawn]) / np.log(augmentation.MOST_SPEED)
    assert -1 <= speeds.min() < -0.98 and 0.98 < speeds.max() <= 1 + 1e-6
    assert np.mean(speeds) == pytest.approx(0, abs=0.05)
    assert np.mean([played.filter > 0 for played in drawn]) == pytest.approx(0.5, abs=0.05)
    short = [augmentation.draw(generator, CLIP, CLIP + 100) for _ in range(200)]
    assert max(played.samples(CLIP) for played in short) <= CLIP + 100
