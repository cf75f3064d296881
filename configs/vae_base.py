"""The default model on the bundled recordings, six pedalboard effects.

python -m launch.train configs/vae_base.py --workdir runs/base

4,000 steps of 48 clips; the demonstration (configs/demo.py) takes fewer of larger batches.
"""

from jaxvae.config import Experiment

config = Experiment(name="vae_base")
