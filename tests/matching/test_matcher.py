"""A matcher: its answer is what it renders, its choice gets near the target, and what cannot be matched is said."""

import dataclasses
import json
import runpy
import types

import numpy as np
import pedalboard
import pytest
import scipy.stats
import soundfile

from jaxvae import effects, inference
from jaxvae.data.audio import set_peak
from jaxvae.effects import EffectError
from jaxvae.matching import distances
from jaxvae.matching import matcher as matching
from jaxvae.matching.match import NO_EFFECT
from jaxvae.matching.matcher import Matcher, Posterior
from jaxvae.training.checkpoints import CheckpointError
from launch import match as command

RATE = 8_000
DELAY, DISTORTION = "pedalboard/Delay", "pedalboard/Distortion"


@pytest.fixture(scope="module")
def matcher(matched):
    return inference.load_matcher(matched)


@pytest.fixture(scope="module")
def dry():
    rng = np.random.default_rng(0)
    time = np.arange(5 * RATE) / RATE
    return (
        0.2 * np.sin(2 * np.pi * (200 + 100 * time) * time) * np.exp(-4 * (time % 0.5))
        + 0.01 * rng.normal(size=len(time))
    ).astype(np.float32)


@pytest.fixture(scope="module")
def reference():
    rng = np.random.default_rng(1)
    time = np.arange(3 * RATE) / RATE
    clip = (0.2 * rng.normal(size=len(time)) * (np.sin(9 * time) > 0)).astype(np.float32)
    return effects.get(DISTORTION).render(clip, {"drive_db": 30.0}, RATE)


@dataclasses.dataclass(frozen=True, eq=False)
class Knowing(Matcher):
    """A matcher whose posterior is given: what is tested is what is made of it."""

    given: Posterior | None = None

    def posterior(self, reference, passages=None, before=None, allowed=None, seed=0):
        return self.given


def knowing(matcher, effect, settings):
    """Of probabilities, and samples of the settings of each effect."""
    fields = {field.name: getattr(matcher, field.name) for field in dataclasses.fields(matcher)}
    return Knowing(**fields, given=Posterior(np.array(effect), tuple(settings)))


def samples(mean, spread, seed=0):
    noise = np.random.default_rng(seed).normal(size=(matching.SAMPLES, len(mean)))
    return np.clip(np.array(mean) + spread * noise, 0, 1).astype(np.float32)


def to_target(dry, target, audio):
    """Distance of a render from the target."""
    clips = np.stack([target, audio]).astype(np.float32)
    return float(distances.pairwise(distances.describe(clips, dry, sample_rate=RATE))[0, 1])


def alike(audio, other):
    """Correlation of two sounds, whatever their gain."""
    return float(np.corrcoef(audio.ravel(), other.ravel())[0, 1])


def test_the_audio_is_the_render_of_the_answer_at_the_power_of_the_recording(matcher, dry, reference):
    found = matcher.match(dry, reference, RATE, allowed=[DISTORTION], candidates=4)
    assert found.effect == DISTORTION and set(found.settings) == {"drive_db"}
    independent = effects.get(DISTORTION).render(set_peak(dry, -12.0), found.settings, RATE)
    assert alike(found.audio, independent) > 0.99999
    assert found.audio.shape == dry.shape and found.audio.dtype == np.float32
    assert np.mean(found.audio**2) == pytest.approx(np.mean(dry**2), rel=1e-3)
    assert found.input_gain_db == pytest.approx(-12 - 20 * np.log10(np.abs(dry).max()), abs=1e-4)
    for setting in found.answers[0].settings:
        assert 0 <= setting.low <= setting.high <= 40


def test_channels_are_kept_each_with_what_it_holds(matcher, dry, reference):
    stereo = np.stack([dry, -0.5 * dry[::-1]])
    found = matcher.match(stereo, reference, RATE, allowed=[DELAY], candidates=4)
    assert found.audio.shape == stereo.shape
    level = 10 ** (found.input_gain_db / 20)
    for channel, own in zip(found.audio, stereo, strict=True):
        assert alike(channel, effects.get(DELAY).render(own * np.float32(level), found.settings, RATE)) > 0.99999


def test_the_same_seed_finds_the_same(matcher, dry, reference):
    first, second = (matcher.match(dry, reference, RATE, candidates=6, seed=3) for _ in range(2))
    assert first.answers == second.answers and first.probabilities == second.probabilities
    np.testing.assert_array_equal(first.audio, second.audio)


def test_probabilities_are_of_what_is_allowed(matcher, dry, reference):
    every = matcher.match(dry, reference, RATE, candidates=2)
    assert set(every.probabilities) == {DELAY, DISTORTION, NO_EFFECT}
    assert sum(every.probabilities.values()) == pytest.approx(1)
    assert list(every.probabilities.values()) == sorted(every.probabilities.values(), reverse=True)
    given = matcher.match(dry, reference, RATE, candidates=2, allowed=[DELAY])
    assert given.probabilities[DELAY] == 1.0


def test_of_a_good_posterior_the_choice_is_near_the_target(matcher, dry):
    """Nearer than its mean answer is on average, and refinement brings it nearer to what it expects."""
    kind = effects.get(DELAY)
    truth = np.array([0.6, 0.5, 0.7])
    know = knowing(matcher, [0.0, 1.0, 0.0], [samples([0.5], 0.1), samples(truth, 0.05)])
    level = set_peak(dry, -12.0)
    target = kind.render(level, kind.settings(truth), RATE)
    found = know.match(dry, dry, RATE, candidates=16)
    assert found.effect == DELAY
    chosen = to_target(level, target, found.audio)
    drawn = [
        to_target(level, target, kind.render(level, kind.settings(row), RATE)) for row in samples(truth, 0.05)[:16]
    ]
    assert chosen < np.mean(drawn)
    assert chosen < 0.5 * to_target(level, target, dry)
    refined = know.match(dry, dry, RATE, candidates=16, refine=48)
    assert refined.answers[0].expected <= found.answers[0].expected
    assert refined.renders <= 16 + 48 and refined.renders > 16


def test_where_it_may_be_anything_the_recording_stays_as_it_is(matcher, dry):
    know = knowing(matcher, [0.02, 0.03, 0.95], [samples([0.9], 0.1), samples([0.5, 0.9, 0.9], 0.1)])
    found = know.match(dry, dry, RATE, candidates=16, refine=16)
    assert found.effect == NO_EFFECT and found.settings == {}
    np.testing.assert_array_equal(found.audio, dry)
    assert "shutil.copyfile" in found.snippet()


def test_two_sounds_that_are_as_likely_are_two_answers(matcher, dry):
    know = knowing(matcher, [0.5, 0.5, 0.0], [samples([1.0], 0.0), samples([0.9, 0.9, 1.0], 0.0)])
    found = know.match(dry, dry, RATE, candidates=8)
    assert {answer.effect for answer in found.answers[:2]} == {DELAY, DISTORTION}
    assert found.answers[0].weight == pytest.approx(0.5)


def test_renders_that_cannot_be_used_are_not_chosen(matcher, dry):
    def process(dry, settings, rate):
        return dry * np.nan if settings.get("drive_db", 40) > 20 else 2 * dry

    kinds = tuple(dataclasses.replace(kind, process=process, open=None) for kind in matcher.kinds)
    settings = [samples([0.5], 0.3), samples([0.5] * 3, 0.1)]
    know = knowing(dataclasses.replace(matcher, kinds=kinds), [1.0, 0.0, 0.0], settings)
    found = know.match(dry, dry, RATE, candidates=12, refine=8)
    assert found.effect == NO_EFFECT or found.settings["drive_db"] <= 20
    assert np.isfinite(found.audio).all()
    know = knowing(dataclasses.replace(matcher, kinds=kinds), [0.0, 1.0, 0.0], settings)
    assert know.match(dry, dry, RATE, candidates=4).effect == NO_EFFECT, "where none can be used"


def test_a_rate_at_which_the_effect_sounds_otherwise_is_not_used(matcher, dry, tmp_path):
    """A plug-in that counts in samples is rendered at the rate of training, and that is said."""
    kind = effects.get(DELAY)

    def in_samples(dry, settings, rate):
        return kind.process(dry, settings, RATE)

    time = np.arange(44_100 * 5) / 44_100
    recording = (0.2 * np.sin(2 * np.pi * 300 * time) * np.exp(-6 * (time % 1.0))).astype(np.float32)
    given = ([0.0, 1.0, 0.0], [samples([0.5], 0.1), samples([0.6, 0.3, 1.0], 0.0)])
    found = knowing(matcher, *given).match(recording, recording, 44_100, candidates=2)
    assert not found.notes and found.audio.shape == recording.shape
    counting = dataclasses.replace(matcher.kinds[1], process=in_samples, open=None)
    kinds = (matcher.kinds[0], counting)
    counted = knowing(dataclasses.replace(matcher, kinds=kinds), *given).match(
        recording, recording, 44_100, candidates=2
    )
    assert "it was rendered at 8,000 Hz" in counted.notes[0] and counted.audio.shape == recording.shape
    assert (found.render_rate, counted.render_rate) == (44_100, 8_000)
    names = {"jaxvae": types.SimpleNamespace(effects=types.SimpleNamespace(get=lambda name: kinds[1]))}
    soundfile.write(tmp_path / "dry.wav", recording, 44_100, subtype="FLOAT")
    program = counted.snippet(str(tmp_path / "dry.wav"), str(tmp_path / "wet.wav"))
    exec(program.replace("import jaxvae\n", ""), names)
    assert alike(soundfile.read(tmp_path / "wet.wav")[0][: len(recording)], counted.audio) > 0.999
    # Below 4 kHz, where both are, it is the same echo.
    assert alike(found.audio, counted.audio) > 0.98


def test_an_effect_that_fails_on_the_whole_recording_is_an_error(matcher, dry):
    kinds = tuple(
        dataclasses.replace(
            kind, process=lambda dry, settings, rate: 2 * dry if len(dry) == 5 * RATE else 0 * dry, open=None
        )
        for kind in matcher.kinds
    )
    know = knowing(
        dataclasses.replace(matcher, kinds=kinds), [1.0, 0.0, 0.0], [samples([0.5], 0.1), samples([0.5] * 3, 0.1)]
    )
    with pytest.raises(EffectError, match="gives nothing that can be used"):
        know.match(np.tile(dry, 2), dry, RATE, candidates=2, allowed=[DISTORTION])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dry": np.zeros(9_000, np.float32)}, "dry is silent"),
        ({"reference": np.zeros(9_000, np.float32)}, "reference is silent"),
        ({"dry": np.full(9_000, np.nan, np.float32)}, "dry has 9000 samples that are not finite"),
        ({"reference": np.full(9_000, np.inf, np.float32)}, "reference has 9000 samples that are not finite"),
        ({"dry": np.zeros((9_000, 2), np.float32)}, r"dry has shape \(9000, 2\).*audio.T"),
        ({"dry": np.zeros((1, 2, 9_000), np.float32)}, r"dry has shape \(1, 2, 9000\)"),
        ({"dry": np.zeros(0, np.float32)}, r"dry has shape \(0,\)"),
        ({"dry": np.stack([np.ones(9_000), -np.ones(9_000)]).astype(np.float32)}, "dry is silent in mono"),
        ({"dry": "song.wav"}, "read a file first"),
        ({"sample_rate": -1}, "sample_rate is -1"),
        ({"candidates": 0}, "candidates is 0"),
        ({"candidates": 129}, "candidates is 129, refine 0; use 1 to 128"),
        ({"refine": -1}, "refine -1"),
        ({"allowed": ["mda/Nothing"]}, "tiny_match knows no mda/Nothing; it knows pedalboard/Distortion"),
        ({"allowed": []}, "no effect is allowed"),
    ],
)
def test_what_cannot_be_matched_is_refused(matcher, dry, reference, change, message):
    given = {"dry": dry, "reference": reference, "sample_rate": RATE, **change}
    with pytest.raises(ValueError, match=message):
        matcher.match(**given)


@pytest.mark.filterwarnings("ignore:audio of")
def test_short_long_and_clipped_references_are_matched(matcher, dry, reference):
    for heard in (reference[:1_600], np.tile(reference, 20), np.clip(50 * reference, -1, 1), dry):
        found = matcher.match(dry, heard, RATE, candidates=2)
        assert np.isfinite(found.audio).all()
    short = dry[:1_600]  # a fifth of a second
    assert matcher.match(short, reference, RATE, candidates=2).audio.shape == short.shape


def test_more_is_rendered_where_the_effect_is_guessed(matcher, dry, reference):
    given, guessed = (matcher.match(dry, reference, RATE, allowed=names) for names in ([DELAY], None))
    assert (given.renders, guessed.renders) == (16, 48)


def test_what_is_known_of_the_reference_is_heard(matcher, dry, reference):
    tracks = matching.waveform.tracks(reference, RATE)
    passages = matching.waveform.tracks(dry, RATE)
    blind = matcher.posterior(tracks).effect
    source = matcher.posterior(tracks, passages).effect
    aligned = matcher.posterior(tracks, before=matching.waveform.tracks(dry[: len(reference)], RATE)[0]).effect
    assert not np.allclose(blind, source) and not np.allclose(source, aligned)


def test_files_are_matched_as_arrays_are(matcher, dry, reference, tmp_path):
    stereo, rate = np.stack([np.tile(dry, 4), np.tile(dry[::-1], 4)]), 11_025
    for name, audio in (("dry.wav", stereo), ("reference.wav", reference)):
        soundfile.write(tmp_path / name, audio.T, rate, subtype="FLOAT")
    files, told = (tmp_path / "dry.wav", tmp_path / "reference.wav", tmp_path / "out.wav"), []
    for same in (False, True):
        options = {"candidates": 4, "same_recording": same, "allowed": [DELAY]}
        of_files = matcher.match_file(*files, **options, written=lambda *done: told.append(done))
        of_arrays = matcher.match(stereo, reference, rate, **options)
        assert of_files.audio is None and of_files.answers == of_arrays.answers
        np.testing.assert_array_equal(of_files.excerpt, of_arrays.excerpt)
        np.testing.assert_allclose(soundfile.read(files[2])[0].T, of_arrays.audio, atol=2**-22)
    assert told[-1][0] == told[-1][1] == pytest.approx(stereo.shape[1] / rate)


def test_three_minutes_of_stereo_at_44100_hz_are_matched(matcher, dry, reference, tmp_path):
    second = np.stack([np.resize(dry, 44_100), np.resize(dry[::-1], 44_100)], axis=1)
    with soundfile.SoundFile(tmp_path / "dry.wav", "w", 44_100, 2) as file:
        for _ in range(180):
            file.write(second)
    soundfile.write(tmp_path / "mono.wav", reference, RATE)
    names = [tmp_path / name for name in ("dry.wav", "mono.wav", "out.flac")]
    found = matcher.match_file(*names, candidates=2, allowed=[DISTORTION])
    told = soundfile.info(names[2])
    assert (told.frames, told.channels, told.samplerate) == (180 * 44_100, 2, 44_100)
    assert found.sample_rate == 44_100


def test_a_reference_through_an_effect_outside_the_set_has_an_answer_of_the_set(matcher, dry, reference):
    foreign = effects.get("pedalboard/LadderFilter").render(set_peak(reference, -12.0), {"cutoff_hz": 300.0}, RATE)
    found = matcher.match(dry, foreign, RATE, candidates=8)
    assert found.effect in {DELAY, DISTORTION, NO_EFFECT}
    assert np.isfinite(found.audio).all() and sum(found.probabilities.values()) == pytest.approx(1)


def test_the_excerpt_is_the_loudest_of_the_recording(matcher, dry, reference):
    quiet = 0.1 * np.tile(dry, 6)
    quiet[13 * RATE : 18 * RATE] += 0.5 * dry
    found = matcher.match(quiet, reference, RATE, candidates=2)
    level = 10 ** (found.input_gain_db / 20)
    start = int(np.argmax(np.correlate(quiet, found.excerpt, "valid")))
    np.testing.assert_allclose(quiet[start : start + 5 * RATE] * level, found.excerpt, atol=1e-5)
    assert abs(start / RATE - 13) < 0.6  # its notes decay: half a second more or less is as loud
    energy = np.convolve(quiet.astype(np.float64) ** 2, np.ones(5 * RATE), "valid")
    assert energy[start] > 0.999 * energy.max()


def test_probabilities_of_effects_are_at_the_temperature_of_validation(matcher, dry, reference):
    raw = dataclasses.replace(matcher, temperatures=dict.fromkeys(matcher.temperatures, 1.0))
    mild = dataclasses.replace(matcher, temperatures={"blind": 4.0, "source_aware": 2.0, "dry_aware": 1.0})
    tracks = matching.waveform.tracks(reference, RATE)
    known = {"blind": {}, "source_aware": {"passages": matching.waveform.tracks(dry, RATE)}}
    known["dry_aware"] = {"before": matching.waveform.tracks(dry[: len(reference)], RATE)[0]}
    for mode, temperature in mild.temperatures.items():
        sure, less = (one.posterior(tracks, **known[mode]).effect for one in (raw, mild))
        expected = sure ** (1 / temperature)
        np.testing.assert_allclose(less, expected / expected.sum(), rtol=1e-4)


def test_a_run_of_another_task_is_no_matcher(trained, matched):
    with pytest.raises(CheckpointError, match=r"trained no Matcher but a SpectrogramEncoder.*configs/match_demo.py"):
        inference.load_matcher(trained)
    with pytest.raises(CheckpointError, match=r"trained no SpectrogramEncoder but a Matcher.*configs/demo.py"):
        inference.load_encoder(matched)
    assert isinstance(inference.load(matched), Matcher)


def test_the_command_writes_what_it_says(matched, dry, reference, tmp_path, capsys, monkeypatch):
    soundfile.write(tmp_path / "dry.wav", np.stack([dry, 0.5 * dry], axis=1), RATE, subtype="FLOAT")
    soundfile.write(tmp_path / "reference.flac", reference / np.abs(reference).max(), RATE)
    out, settings, program = (tmp_path / "new" / name for name in ("out.flac", "out.json", "out.py"))
    options = command.Options(
        tmp_path / "dry.wav",
        tmp_path / "reference.flac",
        matched,
        out,
        settings,
        program,
        effects=(DELAY,),
        candidates=4,
    )
    assert command.main(options) == [out, settings, program]
    audio, rate = soundfile.read(out)
    assert rate == RATE and audio.shape == (len(dry), 2)
    preset = json.loads(settings.read_text())
    assert preset["effect"] == DELAY and f"best answer: {DELAY}" in capsys.readouterr().out
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(program))
    rendered, _ = soundfile.read(tmp_path / "wet.wav")
    assert alike(rendered[:, 0], audio[:, 0]) > 0.9999
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"out": "dry.wav"}, "written over another"),
        ({"settings": "out.wav"}, "written over another"),
        ({"candidates": 0}, "candidates is 0"),
    ],
)
def test_options_that_make_no_sense_are_refused(change, message, tmp_path):
    names = {"dry": "dry.wav", "reference": "reference.wav", "run": "run", "out": "out.wav"}
    given = {name: tmp_path / value if isinstance(value, str) else value for name, value in (names | change).items()}
    with pytest.raises(ValueError, match=message):
        command.Options(**given)


def test_an_ending_that_is_no_format_is_refused_before_the_work(tmp_path):
    with pytest.raises(ValueError, match="no ending of an audio format"):
        command.main(command.Options(tmp_path / "a.wav", tmp_path / "b.wav", tmp_path, tmp_path / "out.txt"))


def test_settings_of_effects_that_are_out_of_the_question_are_uniform(matcher, monkeypatch):
    """They are not worth the time of a sample; those of all others are the flow's, whoever else is sampled."""
    hidden = np.random.default_rng(0).normal(size=(1, 16)).astype(np.float32)
    every = matcher._settings(hidden, np.array([0.5, 0.4, 0.1]), seed=0)
    monkeypatch.setattr(matching, "_LIKELY", 1)
    first, second = matcher._settings(hidden, np.array([0.999, 0.0005, 0.0005]), seed=0)
    np.testing.assert_allclose(first, every[0], atol=1e-6)
    assert all(scipy.stats.kstest(column, "uniform").pvalue > 1e-4 for column in second.T)
    assert np.abs(second - every[1]).max() > 0.01
    both = matcher._settings(hidden, np.array([0.6, 0.3, 0.1]), seed=0)
    np.testing.assert_allclose(both[1], every[1], atol=1e-6)
    given = matcher._settings(hidden, np.array([0.0, 1.0, 0.0]), seed=0)
    np.testing.assert_allclose(given[1], every[1], atol=1e-6)


# VST3 plug-ins


def of_plugin(matcher, name, settings):
    """A matcher of one VST3 plug-in, whose posterior is these settings."""
    return dataclasses.replace(
        knowing(matcher, [1.0, 0.0], [np.array(settings, np.float32)]), kinds=(effects.get(name),), parameters=(2,)
    )


@pytest.mark.debian("g++", "dpf-source")
def test_a_candidate_at_which_the_plugin_crashes_is_out_of_the_question(matcher, dry, reference, faulty, capsys):
    name = faulty("crash")
    settings = samples([0.5, 0.7], 0.15)  # crashes above 0.8
    crashing = settings[:7, 1] > 0.8
    assert 0 < crashing.sum() < 7
    found = of_plugin(matcher, name, settings).match(dry, reference, RATE, candidates=8, refine=8)
    assert found.effect == name and found.settings["fault"] <= 0.8
    assert "crashes (SIGSEGV)" in capsys.readouterr().err
    assert all(answer.settings[1].value <= 0.8 for answer in found.answers if answer.settings)
    nothing = of_plugin(matcher, name, [[0.5, 0.9]] * 10).match(dry, reference, RATE, candidates=4)
    assert nothing.effect == NO_EFFECT


def match_files(folder, dry, reference, **options):
    soundfile.write(folder / "dry.wav", dry, RATE, subtype="FLOAT")
    soundfile.write(folder / "reference.wav", reference / np.abs(reference).max(), RATE)
    return command.Options(
        folder / "dry.wav", folder / "reference.wav", folder / "run", folder / "out.wav", candidates=4, **options
    )


@pytest.mark.debian("g++", "dpf-source")
def test_a_crash_over_the_whole_recording_leaves_no_file(matcher, dry, reference, faulty, tmp_path, monkeypatch):
    name = faulty("long")
    monkeypatch.setattr(
        command.jaxvae, "load_matcher", lambda run, member: of_plugin(matcher, name, samples([0.5, 0.5], 0.1))
    )
    options = match_files(tmp_path, np.tile(dry, 3), reference, effects=(name,), preset=tmp_path / "out.vstpreset")
    with pytest.raises(EffectError, match=r"long\.vst3 crashes \(SIGABRT\) at {'gain'"):
        command.main(options)
    assert {path.name for path in tmp_path.iterdir()} == {"dry.wav", "reference.wav"}


@pytest.mark.debian("g++", "dpf-source")
def test_the_preset_sets_the_plugin_to_the_answer(matcher, dry, reference, faulty, tmp_path, monkeypatch):
    name = faulty("late")
    monkeypatch.setattr(
        command.jaxvae, "load_matcher", lambda run, member: of_plugin(matcher, name, samples([0.3, 0.6], 0.1))
    )
    preset, settings = tmp_path / "out.vstpreset", tmp_path / "out.json"
    options = match_files(tmp_path, dry, reference, effects=(name,), preset=preset, settings=settings)
    assert command.main(options) == [options.out, settings, preset]
    fresh = pedalboard.load_plugin(name.removeprefix("vst3:"))
    fresh.load_preset(str(preset))
    values = {key: fresh.parameters[key].raw_value for key in ("gain", "fault")}
    said = json.loads(settings.read_text())
    assert values == pytest.approx(said["settings"], abs=1e-6)
    fresh.process(np.zeros((2, 512), np.float32), RATE)
    entering = dry * np.float32(10 ** (said["input_gain_db"] / 20))
    heard = fresh.process(np.stack([entering] * 2), RATE).mean(axis=0)
    np.testing.assert_allclose(heard, effects.get(name).render(entering, said["settings"], RATE), atol=1e-6)


def test_a_preset_of_what_is_no_vst3_is_refused_before_the_work(matched, dry, reference, tmp_path, monkeypatch):
    missing = command.Options(
        tmp_path / "a.wav", tmp_path / "b.wav", matched, preset=tmp_path / "it.vstpreset", effects=(DELAY,)
    )
    with pytest.raises(ValueError, match=r"it\.vstpreset cannot be written: .* none of the 1 effects that may be"):
        command.main(missing)
    monkeypatch.setattr(Matcher, "match", None)
    options = match_files(tmp_path, dry, reference, preset=tmp_path / "it.vstpreset")
    with pytest.raises(ValueError, match=r"none of the 2 effects that may be the answer is one; use --settings"):
        command.main(dataclasses.replace(options, run=matched))


@pytest.mark.debian("g++", "dpf-source")
def test_where_the_answer_has_no_preset_all_else_is_written(matcher, dry, reference, faulty, tmp_path, monkeypatch):
    name = faulty("late")
    monkeypatch.setattr(
        command.jaxvae,
        "load_matcher",
        lambda run, member: dataclasses.replace(
            of_plugin(matcher, name, [[0.5, 0.5]]), given=Posterior(np.array([0.0, 1.0]), (np.full((9, 2), 0.5),))
        ),
    )
    options = match_files(tmp_path, dry, reference, preset=tmp_path / "it.vstpreset")
    with pytest.raises(ValueError, match=r"it\.vstpreset is not written, but .*out\.wav: the best answer is no effect"):
        command.main(options)
    assert options.out.exists() and not options.preset.exists()
