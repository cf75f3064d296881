"""Settings of every test: the CPU as four devices, so that a test of one device cannot pass by accident."""

import os

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=4"

import jax  # after the settings above

jax.config.update("jax_numpy_rank_promotion", "raise")
