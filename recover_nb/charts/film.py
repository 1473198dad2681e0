"""The film of training: problems moving as reinforcement learning goes on."""

import xarray as xr

from recover_nb import tables
from recover_nb.core import checks
from recover_nb.pages.film import TrainingFilm


@checks.takes(seed=checks.SEED)
def plot_training_film(
    ds: xr.Dataset | None = None, onward: xr.Dataset | None = None, *, seed: int | None = None
) -> TrainingFilm:
    """Show where each problem is as training goes on: rarely right, in between, nearly always.

    Parameters
    ----------
    ds, onward : Dataset, optional
        A study, and from `load_onward` what training on did to its problems; the bundled ones
        unless given.
    seed : int, optional
        One seed of going on; the mean over seeds by default.

    Returns
    -------
    TrainingFilm
        Shows itself as the last line of a cell, with a slider and a button that plays; without
        scripts, the last step. ``save(path)`` writes a page of its own.

    Raises
    ------
    InputError
        The two do not belong together, or the seed is unknown.

    See Also
    --------
    training_gain : The figures.

    Notes
    -----
    docs/method.md#17-training-gain.

    Examples
    --------
    >>> import recover_nb as rnb
    >>> film = rnb.plot_training_film(rnb.load_study())
    >>> film.told["steps"]
    [0, 10, 20, 40, 60]
    """
    if ds is None:
        from recover_nb.io.store import load_study

        ds = load_study()
    if onward is None:
        from recover_nb.io.onward import load_onward

        onward = load_onward()
    return TrainingFilm(tables.training_film(ds, onward, seed=seed))
