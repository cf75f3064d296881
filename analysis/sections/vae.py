"""The model as a VAE: reconstruction, divergence, and how the space maps to a plane."""

from collections.abc import Iterable

import numpy as np
from jaxtyping import Float, Int
from sklearn.manifold import trustworthiness
from sklearn.metrics import silhouette_score

from analysis.metrics import layout, probes, reconstruction
from analysis.metrics.probes import NEIGHBOURS
from analysis.models.representations import Representation
from analysis.renders.plan import pairs
from analysis.sections.outline import Contents, Outline, columns
from analysis.sections.score import Figure, Score, Study, of_clips, percent
from analysis.sections.section import Section
from jaxvae.data import audio
from jaxvae.models.vae import Posterior
from jaxvae.training import losses

FIGURES = {
    "reconstruction": Figure("error", 1, "less"),
    "elbo": Figure("ELBO (nats)", 0),
    "kl": Figure("KL (nats)", 0, ""),
    "active_units": Figure("active units", 0),
    "active_share": percent("active"),
    "silhouette": Figure("silhouette", 2),
    "silhouette_map": Figure("silhouette, UMAP", 2),
    "trustworthiness": Figure("UMAP trustworthiness", 2),
}


def kl_per_dimension(posterior: Posterior) -> Float[np.ndarray, " latent"]:
    """Nats of each dimension, means over clips."""
    return np.asarray(losses.kl_per_dimension(posterior)).mean(axis=0)


def latent(posterior: Posterior) -> list[Score]:
    """KL divergence and active units of posteriors (clip, latent) over clips of unseen recordings."""
    kl = kl_per_dimension(posterior)
    units = probes.active_units(posterior.mean)
    return [
        Score("kl", "", float(kl.sum())),
        Score("active_units", "", float(units)),
        Score("active_share", "", units / len(kl)),
    ]


def silhouette(features: Float[np.ndarray, "clip feature"], effect: Int[np.ndarray, " clip"]) -> list[Score]:
    """Silhouette of the effects (Rousseeuw 1987) by cosine in the space itself, in [-1, 1]."""
    if len(np.unique(effect)) < 2:
        return []
    centred = features - features.mean(axis=0)
    if not np.linalg.norm(centred, axis=1).all():
        return []
    return [Score("silhouette", "", float(silhouette_score(centred, effect, metric="cosine")))]


def plane(
    features: Float[np.ndarray, "clip feature"], position: Float[np.ndarray, "clip 2"], effect: Int[np.ndarray, " clip"]
) -> list[Score]:
    """Trustworthiness (Venna & Kaski 2001) of a map of the space, and the effects' silhouette on it."""
    scores = [Score("trustworthiness", "", float(trustworthiness(features, position, n_neighbors=NEIGHBOURS)))]
    if len(np.unique(effect)) > 1:
        scores.append(Score("silhouette_map", "", float(silhouette_score(position, effect))))
    return scores


def of_row(study: Study, row: Representation) -> list[Score]:
    """The latent of a model, and the space on the first clip of each pair, whose effects take turns."""
    held = study.made.held
    scores = [] if row.encoder is None else latent(held.posterior(row.name))
    chosen = pairs(held.plan)[0][: study.sizes.map_clips]
    features, effect = held.features[row.name][chosen], held.plan.effect[chosen]
    scores += silhouette(features, effect)
    if row.mapped and len(chosen) > 2 * NEIGHBOURS:
        scores += plane(features, layout.fit(features, study.seed), effect)
    return scores


def of_models(study: Study) -> Iterable[tuple[str, Score]]:
    """Errors on clips of the data set, of the models that see the same spectrograms; and the ELBO of those."""
    encoder, components, test = study.components.encoder, study.components, study.test
    same = {
        name: model
        for name, model in study.models.items()
        if (model.experiment.audio, model.experiment.spectrogram)
        == (encoder.experiment.audio, encoder.experiment.spectrogram)
    }
    guesses = {name: reconstruction.of_model(model) for name, model in same.items()}
    guesses |= {components.name: components.reconstruct, "constant": lambda wet, rate: components.band_mean}
    chosen, squares = reconstruction.squared_errors(encoder, guesses, test, study.seed)
    wet, recording = audio.to_float(test.audio(chosen)), test.recording[chosen]
    for name, (errors, _) in squares.items():
        yield name, of_clips("reconstruction", "", errors, recording, np.sqrt)
    pixels = encoder.experiment.bins * encoder.experiment.frames
    for name, model in same.items():
        if not model.content_dim:  # whose divergence is not known here
            posterior = model.posterior(wet[:, None], encoder.experiment.audio.sample_rate)
            kl = np.asarray(losses.kl_per_dimension(posterior)).sum(axis=1).mean()
            elbo = -float(losses.calibrated_negative_elbo(squares[name][1].mean(), kl, pixels))
            yield name, Score("elbo", "", elbo)


def _note(contents: Contents) -> str:
    about = contents.about
    maps = min(about["sizes"]["map_clips"], about["clips"]["held"]["used"] // 2)
    return (
        f"Root-mean-square error of spectrograms in {about['error_unit']}, at the posterior mean; the constant is each "
        "band's mean. KL divergence and active units (variance of the mean above 0.01) of the effect latent. ELBO of a "
        "Gaussian decoder of the best variance, at the posterior mean. Silhouettes are those of the effects; "
        f"maps by UMAP of {maps} clips."
    )


def _outlines(contents: Contents) -> list[Outline]:
    return [Outline("", contents.rows, columns(FIGURES, FIGURES, section="vae", item=""))]


SECTION = Section(
    name="vae",
    title="VAE",
    figures=FIGURES,
    of_row=of_row,
    note=_note,
    outlines=_outlines,
    compared=("reconstruction",),
    of_models=of_models,
)
