"""Style matching with the demonstration's six effects, on the bundled recordings: a controller in two minutes.

python -m launch.train configs/match_demo.py --workdir runs/match_demo
python -m launch.match dry.wav reference.wav -o out.wav --run runs/match_demo
"""

from configs import demo
from jaxvae.config import MatchExperiment, Train

config = MatchExperiment(
    name="match_demo",
    data=demo.config.data,
    train=Train(
        steps=600,
        batch_size=384,
        validate_every=150,
        patience=0,
        learning_rate=2e-3,
        warmup_steps=100,
        weight_decay=0.01,
    ),
)
