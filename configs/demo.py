"""The demonstration: from the bundled recordings to a map of six effects, in minutes on two cores.

python -m launch.train configs/demo.py --workdir runs/demo
python -m analysis.report runs/demo
"""

import dataclasses

from configs import vae_base

config = dataclasses.replace(vae_base.config, name="demo")
