"""The default model on the bundled recordings, six pedalboard effects.

python -m launch.train configs/vae_base.py --workdir runs/base

The demonstration is this for 900 steps; 4,000 take about 25 minutes on two CPU cores.
"""

from jaxvae.config import Experiment

config = Experiment(name="vae_base")
