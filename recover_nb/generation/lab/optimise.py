"""One resumable training loop for all stages: Muon on matrices, AdamW on the rest, no pickle."""

import json
import struct
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load, save

from recover_nb.core.errors import InputError
from recover_nb.core.sealed import DamagedError, replace_file, seal, unseal
from recover_nb.core.writable import cannot_write


class Optimiser:
    """Muon for hidden matrices and AdamW for the rest, under one learning-rate factor.

    The rest is embeddings, head and norms.

    Parameters
    ----------
    model : torch.nn.Module
    matrix_lr, other_lr : float
        Peak learning rates of Muon and AdamW.
    """

    def __init__(self, model: torch.nn.Module, matrix_lr: float, other_lr: float):
        matrices, others = [], []
        for name, parameter in model.named_parameters():
            hidden = parameter.ndim == 2 and "embed" not in name and "lm_head" not in name
            (matrices if hidden else others).append(parameter)
        self._parameters = [*matrices, *others]
        self._parts = [
            torch.optim.Muon(matrices, lr=matrix_lr, weight_decay=0.01),
            torch.optim.AdamW(others, lr=other_lr, betas=(0.9, 0.95), weight_decay=0.01),
        ]
        self._peaks = [matrix_lr, other_lr]

    def step(self, factor: float, max_norm: float = 1.0) -> None:
        """Clip, update with the peak learning rates times `factor`, and clear the gradients."""
        torch.nn.utils.clip_grad_norm_(self._parameters, max_norm)
        for part, peak in zip(self._parts, self._peaks, strict=True):
            part.param_groups[0]["lr"] = peak * factor
            part.step()
            part.zero_grad()

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return the state as named tensors."""
        return {
            f"{i}.{index}.{name}": torch.as_tensor(value).contiguous()
            for i, part in enumerate(self._parts)
            for index, state in part.state_dict()["state"].items()
            for name, value in state.items()
        }

    def load(self, tensors: dict[str, torch.Tensor]) -> None:
        """Take the state back from named tensors."""
        for i, part in enumerate(self._parts):
            whole = part.state_dict()
            for key, value in tensors.items():
                which, index, name = key.split(".")
                if int(which) == i:
                    whole["state"].setdefault(int(index), {})[name] = value
            part.load_state_dict(whole)


#: Files of a state of training: itself, and the next one while it is written.
STATE = ("state", "state.new")

#: Lengths of the parts of a state, before them.
_LENGTHS = struct.Struct("<3Q")


class Progress:
    """A training run's place on disk: model, optimiser, step and curve, replaced at once.

    Parameters
    ----------
    folder : path
    recipe : str
        What is trained and how, in full: a state made by another recipe is refused, not gone on
        with.
    """

    def __init__(self, folder: Path, recipe: str = ""):
        self.folder, self.recipe = Path(folder), recipe
        self._state, self._fresh = (self.folder / name for name in STATE)

    @property
    def begun(self) -> bool:
        """Whether a state is there."""
        return self._state.exists()

    def save(self, step: int, model, optimiser: Optimiser, curve: list[dict]) -> None:
        """Write everything to a new file, then put it in the place of the old one.

        Raises
        ------
        InputError
            If it cannot be written.
        """
        about = {"step": step, "curve": curve, "recipe": self.recipe}
        parts = (json.dumps(about).encode(), save_tensors(model), save(optimiser.tensors()))
        content = _LENGTHS.pack(*map(len, parts)) + b"".join(parts)
        try:
            _check_own(self.folder)
            self.folder.mkdir(parents=True, exist_ok=True)
            replace_file(self._state, seal(content), self._fresh)
        except OSError as error:
            raise cannot_write(self._state, error) from error

    def load(self, model, optimiser: Optimiser) -> tuple[int, list[dict]]:
        """Restore model and optimiser; return next step and curve, (0, []) if nothing is there.

        Raises
        ------
        InputError
            If what is there was made by another recipe, is damaged, or is no state of training: it
            would be written over.
        """
        _check_own(self.folder)
        if not self._state.exists():
            return 0, []
        content = read_sealed(self._state)
        about, weights, others = _split(content)
        progress = json.loads(about)
        if progress["recipe"] != self.recipe:
            raise InputError(
                f"{self.folder} holds a run of another recipe; remove it to train anew"
            )
        model.load_state_dict(load(weights))
        optimiser.load(load(others))
        return progress["step"], progress["curve"]


def save_tensors(model) -> bytes:
    """Return the weights of a model, as safetensors."""
    return save({name: value.contiguous() for name, value in model.state_dict().items()})


def save_weights(model, path: Path) -> None:
    """Put the weights of a model in a sealed file, whole or not at all.

    Raises
    ------
    InputError
        If it cannot be written.
    """
    try:
        replace_file(path, seal(save_tensors(model)), path.with_suffix(".new"))
    except OSError as error:
        raise cannot_write(path, error) from error


def load_weights(path: Path) -> dict:
    """Return the weights that `save_weights` wrote, for `load_state_dict`."""
    return load(read_sealed(path))


def read_sealed(path: Path) -> bytes:
    """Return what was sealed in a file of training.

    Raises
    ------
    InputError
        If it is missing or damaged.
    """
    try:
        return unseal(path.read_bytes())
    except (OSError, DamagedError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(
            f"{path} is damaged, or another version wrote it ({reason}); remove the folder"
            f" {path.parent} to train anew"
        ) from error


def _split(content: bytes) -> list[bytes]:
    at, parts = _LENGTHS.size, []
    for length in _LENGTHS.unpack_from(content):
        parts.append(content[at : at + length])
        at += length
    return parts


def _check_own(folder: Path) -> None:
    """Refuse a folder that holds anything but a state of training."""
    strange = (
        [each.name for each in folder.iterdir() if each.name not in STATE]
        if folder.is_dir()
        else []
    )
    if strange or folder.is_symlink() or folder.is_file():
        held = f"holds {strange[0]}" if strange else "is no folder"
        raise InputError(
            f"{folder} {held}, so it is no state of training and is left alone; move it away"
        )


def trapezoid(step: int, steps: int, warmup: int = 50, decay: float = 0.5) -> float:
    """Return the learning-rate factor: linear warm-up, plateau, linear decay.

    The decay is over the last share of steps.
    """
    return min((step + 1) / warmup, 1.0, (steps - step) / (decay * steps))


def cycles(lengths: tuple[int, ...], later: float = 0.5) -> Callable[[int, int], float]:
    """Return the factor of one trapezoid after another; those after the first peak at `later`."""

    def factor(step: int, _steps: int) -> float:
        begin = 0
        for place, length in enumerate(lengths):
            if step < begin + length:
                return (later if place else 1.0) * trapezoid(step - begin, length)
            begin += length
        return 0.0

    return factor


def fit(
    model,
    optimiser: Optimiser,
    loss_of: Callable[[int], float],
    steps: int,
    *,
    factor: Callable[[int, int], float] = trapezoid,
    progress: Progress | None = None,
    every: int = 200,
    measure: Callable[[int], dict] | None = None,
    advance: Callable[[int], None] | None = None,
) -> list[dict]:
    """Train for `steps` steps, from where `progress` stands; return the learning curve.

    Parameters
    ----------
    loss_of : callable (step) -> float
        Accumulates gradients of one step and returns its mean loss. All randomness derives from
        `step`, so that a resumed run equals an uninterrupted one.
    every : int
        Steps between measurements and saves.
    measure : callable (step) -> dict
        Figures for the curve after `step` steps, merged with step and loss.
    advance : callable (step) -> None
        Told after every step, for a progress bar.
    """
    start, curve = progress.load(model, optimiser) if progress else (0, [])
    running = []
    for step in range(start, steps):
        model.train()
        running.append(loss_of(step))
        optimiser.step(factor(step, steps))
        if (step + 1) % every == 0 or step + 1 == steps:
            model.eval()
            figures = measure(step + 1) if measure else {}
            curve.append({"step": step + 1, "loss": sum(running) / len(running), **figures})
            running = []
            if progress:
                progress.save(step + 1, model, optimiser, curve)
        if advance:
            advance(step)
    return curve
