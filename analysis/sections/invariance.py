"""Whether the same setting is found over other recordings, and whether the recording can be read."""

import numpy as np
from jaxtyping import Float, Int

from analysis.metrics import probes, retrieval
from analysis.models.representations import Representation
from analysis.renders.plan import pairs
from analysis.sections.outline import Contents, Outline, columns
from analysis.sections.score import Figure, Score, Study, of_clips, percent
from analysis.sections.section import Section

WAYS = (1_024, 4_096)
FIGURES = {
    "retrieval_r1": Figure("R@1 (%)", 1, "more", 100),
    "retrieval_r10": Figure("R@10 (%)", 1, "more", 100),
    "retrieval_rank": Figure("mean rank (%)", 1, "less", 100),
    "recording_accuracy": percent("recording read", "less"),
    "recording_ratio": Figure("recording / chance", 1, "less"),
    "content_accuracy": percent("from content: recording read"),
    "content_ratio": Figure("from content: recording / chance", 1),
}
_RETRIEVAL = ("retrieval_r1", "retrieval_r10", "retrieval_rank")


def same_setting(
    first: Float[np.ndarray, "pair feature"],
    second: Float[np.ndarray, "clip feature"],
    recording: Int[np.ndarray, "pair 2"],
    ways: int,
) -> list[Score]:
    """Retrieval of the second clip of each pair by the first: the same setting over another recording, among `ways`.

    `recording` are those of both clips; after the second clips may come others, at settings of their own.
    """
    found = retrieval.retrieve(first, second, ways)
    item = f"{ways:,}-way"
    return [
        of_clips("retrieval_r1", item, found.hit1, recording),
        of_clips("retrieval_r10", item, found.hit10, recording),
        of_clips("retrieval_rank", item, (found.ranks - 1) / (len(second) - 1), recording),
    ]


def recording_read(
    features: Float[np.ndarray, "clip feature"],
    dry: Int[np.ndarray, " clip"],
    recording: Int[np.ndarray, " clip"],
    seed: int,
    name: str = "recording",
) -> list[Score]:
    """How well the recording can be read from clips whose crops a probe has not met, plainly and against chance.

    None of it where fewer than two recordings have two crops. `name` begins the names of the figures: "recording", or
    "content" for those of the content latent.
    """
    crops = np.unique(np.stack([recording, dry], axis=1), axis=0)[:, 0]
    if np.sum(np.unique(crops, return_counts=True)[1] > 1) < 2:
        return []
    found = probes.identify(features, recording, dry, seed)
    own = recording[np.isin(recording, found.recordings)]
    return [
        of_clips(f"{name}_accuracy", "", found.correct, own),
        of_clips(f"{name}_ratio", "", found.correct, own, lambda mean: mean / found.chance),
    ]


def of_row(study: Study, row: Representation) -> list[Score]:
    """The recording from the features and from a content latent, and retrieval in each number of ways."""
    made, held = study.made, study.made.held
    first, second = pairs(held.plan)
    features = held.features[row.name]
    scores = recording_read(features, held.plan.dry, held.recording, study.seed)
    if (content := held.content(row.name)) is not None:
        scores += recording_read(content, held.plan.dry, held.recording, study.seed, "content")
    queries, answers = features[first], features[second]
    own = np.stack([held.recording[first], held.recording[second]], axis=1)
    ways = [number for number in WAYS if number <= len(first)] or [len(first)]
    scores += same_setting(queries, answers, own, ways[-1])
    if made.gallery is not None:
        answers = np.concatenate([answers, made.gallery.features[row.name]])
        for number in WAYS:
            if ways[-1] < number <= len(answers):
                scores += same_setting(queries, answers, own, number)
    return scores


def _note(contents: Contents) -> str:
    return (
        "Each of the pairs is the same effect at the same settings over two recordings; the second is looked for "
        "among all second clips, by cosine. Chance: R@1 is 1 / ways, mean rank 50 %. The recording is read by "
        "probes from crops that they have not met; from the effect latent less is better, from the content latent "
        "more."
    )


def _outlines(contents: Contents) -> list[Outline]:
    retrieved = [
        Outline(
            f"Same setting, other recording, {item}",
            contents.rows,
            columns(FIGURES, _RETRIEVAL, section="invariance", item=item),
        )
        for item in contents.items["retrieval_r1"]
    ]
    read = columns(FIGURES, [name for name in FIGURES if name not in _RETRIEVAL], section="invariance", item="")
    return [*retrieved, Outline("Which recording?", contents.rows, read)]


SECTION = Section(
    name="invariance",
    title="Invariance",
    figures=FIGURES,
    of_row=of_row,
    note=_note,
    outlines=_outlines,
    compared=_RETRIEVAL,
)
