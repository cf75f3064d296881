"""What a data set holds, in words."""

from jaxvae.data.clips import FAILURES, REASONS
from jaxvae.data.dataset import Dataset
from jaxvae.data.recordings import SPLITS


def describe(made: Dataset) -> list[str]:
    """Lines that say what a data set holds."""
    seconds = made.experiment.audio.clip_samples / made.experiment.audio.sample_rate
    lines = [f"{made.folder}: {len(made.effects)} effects, clips of {seconds:.2f} s"]
    missing = {shard.split for shard in made.missing()}
    for name in SPLITS:
        members = [recording for recording in made.recordings if recording.split == name]
        minutes = sum(recording.length for recording in members) / made.experiment.audio.sample_rate / 60
        source = f"from {len(members)} recordings, {minutes:.1f} min"
        if name in missing:
            lines.append(f"  {name:<10} not complete, {source}")
            continue
        split = made.split(name)
        counts = zip(REASONS, split.recipe.redraws.sum(axis=0), strict=True)
        redraws = ", ".join(f"{count} {reason}" for reason, count in counts if count) or "none"
        lines.append(f"  {name:<10} {split.clips} clips {source}; draws repeated: {redraws}")
        for index, kind in enumerate(made.effects):
            own = split.recipe.redraws[split.effect == index].sum(axis=0).tolist()
            failed = ", ".join(f"{own[REASONS.index(reason)]} {reason}" for reason in FAILURES)
            if any(own[REASONS.index(reason)] for reason in FAILURES):
                lines.append(f"    of {kind.name}: {failed}")
    lines.append(f"  {made.counts()}")
    return lines + [f"    {file}: {said}" for file, said in (*made.remarks, *made.skipped)]
