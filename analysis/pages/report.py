"""The page about a run: what was found, a map to hear, sounds, pictures, and figures beside baselines."""

import dataclasses
import datetime
import json
import shlex
import time
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from analysis.metrics import probes
from analysis.metrics.probes import Labelled
from analysis.models import members, representations
from analysis.pages import findings, listening_map, sound, templates
from analysis.pages.scoreboard import advantages, chapters
from analysis.pictures import curves, effect_map, effect_pairs, effect_paths, style, umap
from analysis.renders.material import Renders
from analysis.renders.plan import spread_dry
from analysis.renders.sizes import Sizes
from analysis.sections import board
from analysis.sections.board import Board
from analysis.sections.outline import OURS
from jaxvae import config, config_file, effects, fields, inference, spectrogram
from jaxvae.data import audio, dataset
from jaxvae.data.clips import WET_PEAK_DBFS
from jaxvae.data.recordings import SPLITS

_MAP_SETTINGS = 240


@dataclasses.dataclass(frozen=True)
class Picture:
    """A drawn figure with what to say below it."""

    title: str
    caption: str
    url: str


def picture(title: str, caption: str, drawn: Figure) -> Picture:
    """A figure as part of the page."""
    return Picture(title, caption, style.data_url(style.png(drawn), "image/png"))


def commands(run: Path, experiment: config.Experiment, member: int | None = None) -> list[str]:
    """Command lines that train this run and draw its pictures."""
    source = config_file.FOLDER / f"{experiment.name}.py"
    train = f"python -m launch.train CONFIG --workdir {shlex.quote(str(run))}"
    if source.is_file():
        base = config_file.load(source)
        in_config = {"sweep.members"} | {path for changes in base.sweep.members for path, _ in changes}
        changed = [line.split(": ", 1)[0] for line in fields.differences(base, experiment)]
        values = {name: _field(experiment, name) for name in changed if name not in in_config}
        train = train.replace("CONFIG", source.stem) + "".join(
            f" --{name.replace('_', '-')} {shlex.join(map(str, value if isinstance(value, tuple) else [value]))}"
            for name, value in values.items()
        )
    run_name, first = shlex.quote(str(run)), experiment.data.effects[0]
    which = "" if member is None else f" --member {member}"
    return [
        train,
        f"python -m analysis.report {run_name}{which}",
        f"python -m analysis.umap_plot {run_name}{which} --out effects.png",
        f"python -m analysis.interpolate {run_name}{which} --effect {first} --out paths.png",
        f"python -m analysis.pair_plot {run_name}{which} --effect {first} --out pairs.png",
        f"tensorboard --logdir {run_name}",
    ]


def _field(experiment: config.Experiment, name: str) -> Any:
    value: Any = experiment
    for part in name.split("."):
        value = getattr(value, part)
    return value


def _examples(
    encoder: inference.SpectrogramEncoder, test: dataset.Split, components: Any, kinds: list[effects.Effect], unit: str
) -> tuple[Figure, list[dict[str, str]]]:
    """One test clip of each effect: its spectrogram and reconstructions, and how it sounds."""
    experiment, rate = encoder.experiment, encoder.experiment.audio.sample_rate
    clips = np.array([np.flatnonzero(test.effect == index)[0] for index in range(len(kinds))])
    wet, dry = audio.to_float(test.audio(clips)), test.dry(clips)
    rebuilt = encoder.reconstruct(wet[:, None], rate)
    statistics = encoder.normalisation.spectrogram
    mean, std = np.asarray(statistics.mean)[:, None], np.asarray(statistics.std)[:, None]
    shown = {
        "input": encoder.spectrogram(wet[:, None], rate),
        "reconstruction": rebuilt,
        f"PCA-{components.pca.n_components_}": components.reconstruct(wet, rate),
    }
    if unit == "dB":
        shown = {name: values * std + mean for name, values in shown.items()}
    names = [style.short_name(kind.name) for kind in kinds]
    drawn = curves.plot_reconstructions(shown, names, experiment, "dBFS" if unit == "dB" else unit)
    decoded = spectrogram.invert(rebuilt, experiment.audio, experiment.spectrogram, statistics)
    sounds = []
    for index, kind in enumerate(kinds):
        settings = listening_map.settings(kind, test.normalized[clips[index]])
        sounds.append(
            {
                "effect": kind.name,
                "settings": ", ".join(f"{name} {value}" for name, value in settings.items()),
                "dry": sound.address(audio.set_peak(dry[index], WET_PEAK_DBFS), rate),
                "wet": sound.address(wet[index], rate),
                "decoded": sound.address(audio.set_peak(decoded[index], WET_PEAK_DBFS), rate),
            }
        )
    return drawn, sounds


def build(
    run: Path, sizes: Sizes, seed: int = 0, member: int | None = None, directory: str | None = None
) -> tuple[str, Board, dict[str, Any]]:
    """The page, the scoreboard on it and the figures of its maps, of the best member of a sweep or of a given one."""
    began = time.perf_counter()
    (chosen,) = members.load(run, () if member is None else (member,))
    encoder, of_sweep = chosen.encoder, chosen.logs != run
    experiment = encoder.experiment
    data = members.data([encoder], directory)
    splits, kinds = [data.split(name) for name in SPLITS], list(data.effects)
    measured, test = board.measure({OURS: encoder}, *splits, sizes, seed=seed), splits[-1]

    pictures: dict[str, list[Picture]] = {"maps": []}
    kl = np.array(measured.kl_per_dimension[OURS])
    active = probes.active_units(measured.held.features[OURS])
    pictures["run"] = [
        picture(
            "Training",
            "From the TensorBoard logs. The validation figures hold no β.",
            curves.plot_training(curves.read_scalars(chosen.logs), experiment),
        ),
        picture(
            "KL divergence",
            "Averaged over test clips.",
            curves.plot_kl(kl, active),
        ),
    ]
    components, held = measured.components, measured.held
    drawn, sounds = _examples(encoder, test, components, kinds, measured.about["error_unit"])
    pictures["run"].append(picture("Reconstructions", "One unseen clip of each effect, at the posterior mean.", drawn))

    maps, listening = {}, None
    # Each mode beside the principal components that hear the same.
    pairs = [(OURS, components.name)]
    pairs += [(representations.dry_aware(OURS), representations.difference(components.name))]
    mapped = [name for pair in pairs for name in pair if name in held.features]
    for count in sorted({min(count, len(kinds)) for count in (4, 6, len(kinds))}):
        kept = held.plan.effect < count
        if len(np.unique(held.plan.effect[kept])) < 2:
            continue
        panels = {_title(held, name): Labelled(*(field[kept] for field in held.labelled(name))) for name in mapped}
        places = umap.fit(panels, seed)
        drawn, scores = umap.plot(panels, places, encoder.effects[:count])
        maps[str(count)] = {name: score._asdict() for name, score in scores.items()}
        caption = (
            "UMAP of unseen recordings at random settings. kNN-15 is measured on the plane, recordings kept whole."
        )
        pictures["maps"].append(picture(f"{count} effects", caption, drawn))
        if count == len(kinds):
            heard = {
                representations.WORDS[measured.hears[name]]: places[_title(held, name)]
                for name in measured.contents.ours
                if _title(held, name) in places
            }
            listening = listening_map.of(held.plan, heard, test, data.recordings, experiment.audio.sample_rate)

    clip = int(spread_dry(test, sizes.path_clips, seed)[0])
    grey = "Grey: the same clip at random settings."
    each: dict[str, list[Picture]] = {}
    for drawn in effect_map.fit(encoder, test, kinds, clip, _MAP_SETTINGS, seed=seed):
        name = drawn.effect.name
        each[name] = [picture(f"{name}: each parameter", grey, effect_paths.plot_separate(drawn))]
        if len(drawn.effect.parameters) > 1:
            each[name].append(picture(f"{name}: all parameters", grey, effect_paths.plot_joint({name: drawn})))
            caption = "Each setting has the colour of its place on the map. Smooth colours along an axis: the map is "
            caption += "ordered by that parameter; mixed colours: it is not."
            each[name].append(picture(f"{name}: domain colouring", caption, effect_pairs.plot(drawn)))
    page = templates.get("report.html").render(
        experiment=experiment,
        data=data,
        kinds=kinds,
        config=json.dumps(fields.to_dict(experiment), indent=1),
        commands=commands(run, experiment, chosen.index if of_sweep else None),
        member=chosen.title if of_sweep else None,
        date=datetime.date.today().isoformat(),
        seed=seed,
        findings=findings.sentences(measured),
        listening=listening,
        side=listening_map.SIDE,
        sections=chapters(measured),
        advantages=advantages(measured),
        pictures=pictures,
        of_each_effect=each,
        sounds=sounds,
        clip=clip,
        recording=data.recordings[int(test.recording[clip])],
        seconds=time.perf_counter() - began,
    )
    return page, measured, maps


def _title(held: Renders, name: str) -> str:
    return f"{name}, {held.features[name].shape[1]} dimensions"
