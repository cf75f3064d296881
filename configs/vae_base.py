"""The default model on the bundled recordings, six pedalboard effects.

python -m launch.train configs/vae_base.py --workdir runs/base
"""

from jaxvae.config import Experiment

config = Experiment(name="vae_base")
