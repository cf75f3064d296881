import jaxvae  # noqa: F401  it finds numba a cache, before a module of this package imports numba
