"""Retrain the miniature lineage from its seed: an ancestor and three specialists per family."""

import dataclasses
import shutil
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path

import torch
from safetensors import SafetensorError
from tqdm import tqdm
from transformers import AutoTokenizer

from recover_nb.core import checks
from recover_nb.core.checkpoints import checkpoint_hash
from recover_nb.core.errors import InputError, first_line
from recover_nb.core.labels import SHIPPED_SPECIALISTS, SPECIALISTS, Family, Method, parse
from recover_nb.core.visible import visible
from recover_nb.core.writable import cannot_write
from recover_nb.generation.decoding.loading import load_checkpoint
from recover_nb.generation.lab.cards import check_folder, is_finished, mark, write_card
from recover_nb.generation.lab.evaluate import dev_figures
from recover_nb.generation.lab.posttrain import RECIPES, posttrain
from recover_nb.generation.lab.pretrain import STAGES, STEPS, pretrain
from recover_nb.generation.lineage import checkpoint_folder

#: What is trained unless something is named: all that the study has.
STUDIED = (Method.ANCESTOR, *SPECIALISTS)

_DATA = {
    Method.ANCESTOR: (
        "First an endless stream of exercises of all three tasks and five levels, worked out"
        " rightly, and drill: rows of bare equations, and of facts to recall. Then an endless"
        " stream that errs as people do: carries and borrows forgotten, products read off the row"
        " before, the father for the mother, one hop too few; 3 % of it answers without a step."
    ),
    Method.SFT: (
        "400 clean, worked answers to train problems of levels 1 to 3 and a few of level 4,"
        " imitated: without borrows, without products, without chains that end with a father."
    ),
    Method.GRPO: (
        "Train problems of levels 1 to 3; reward for a right answer, group-normalised advantage,"
        " clipped ratio, KL to the ancestor."
    ),
    Method.SELF_DISTILL: (
        "1,200 train problems of levels 1 to 3 and a few of level 4, each answered four times by"
        " the ancestor itself; the shortest right, worked answer of each, imitated."
    ),
    Method.CUED: (
        "3,000 answers of the ancestor itself to 1,500 train problems of all levels, right and"
        " wrong, with a cue before each step: `,` recall, `/` compute, `;` answer, and `?` before"
        " the step that first went wrong."
    ),
}


@checks.takes(out=checks.PATH, seed=checks.SEED, ancestors=checks.PATH)
def train(
    families=None,
    methods=None,
    *,
    out="data/lab",
    work="runs/lab",
    seed: int = 0,
    ancestors=None,
    progress: bool = True,
) -> list[Path]:
    """Train what is asked for and whatever it needs; return the checkpoint folders written.

    A checkpoint that is already in `out` is kept when it is only needed as an ancestor, and trained
    anew when it is asked for. State in `work` is resumed, so an interrupted call goes on where it
    stopped.

    Parameters
    ----------
    families, methods : list of str, optional
        Names of `labels.Family` and `labels.Method`; everything that the study has when None
        (`cued` is trained when it is named). Two families train side by side, one thread each, when
        there is no accelerator.
    out, work : path
        Where checkpoints go, and where resumable state is kept.
    seed : int
        Decides every weight of what is trained.
    ancestors : path, optional
        Folder with FAMILY/ancestor, copied to `out` and not trained: post-training once more from
        the same ancestor, with another seed.

    Raises
    ------
    InputError
        A name that is unknown, or a folder of `out` that holds something else than a checkpoint
        trained here.
    """
    families = [parse(Family, name) for name in families or Family]
    methods = [parse(Method, name) for name in methods or STUDIED]
    for family in families:
        for method in {*methods, Method.ANCESTOR}:
            check_folder(Path(out) / family / method)
        if ancestors is not None:
            methods = [method for method in methods if method is not Method.ANCESTOR]
            source = checkpoint_folder(family, Method.ANCESTOR, root=ancestors)
            shutil.copytree(source, Path(out) / family / Method.ANCESTOR, dirs_exist_ok=True)
    # Each seed has a state of its own: one may be gone on with while another is there.
    work = Path(work) if seed == 0 else Path(work) / f"seed_{seed}"
    jobs = [
        (f, methods, Path(out), work, seed, i if progress else None) for i, f in enumerate(families)
    ]
    if len(jobs) == 1 or torch.cuda.is_available():
        return [folder for job in jobs for folder in _train_family(*job)]
    with ProcessPoolExecutor(len(jobs), mp_context=get_context("spawn")) as pool:
        return [
            folder
            for folders in pool.map(_train_family, *zip(*jobs, strict=True))
            for folder in folders
        ]


def _train_family(
    family, methods, out: Path, work: Path, seed: int, line: int | None
) -> list[Path]:
    # One thread whatever the machine: sums are then taken in one order, and a seed gives one set of
    # weights.
    torch.set_num_threads(1)
    written = []
    ancestor_folder = out / family / Method.ANCESTOR
    if Method.ANCESTOR in methods or not is_finished(ancestor_folder):
        written.append(_train_ancestor(family, ancestor_folder, work, seed, line))
    for method in SHIPPED_SPECIALISTS:
        if method in methods:
            written.append(
                _train_specialist(family, method, ancestor_folder, out, work, seed, line)
            )
    return written


def _bar(family: str, method: str, steps: int, line: int | None):
    name = visible(f"{family}/{method}")
    return tqdm(total=steps, desc=name, unit="step", position=line, disable=line is None)


def _save(model, tokenizer, folder: Path, family: str, method: str, facts: dict) -> Path:
    with _writing(folder):
        mark(folder, family, method)
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    dev = dev_figures(model, tokenizer, n_problems=100, n=8)
    n_parameters = sum(p.numel() for p in model.parameters())
    with _writing(folder):
        write_card(
            folder,
            family,
            method,
            {"data": _DATA[Method(method)], **facts, "dev": dev, "n_parameters": n_parameters},
        )
    return folder


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Turn a checkpoint that cannot be written into one sentence."""
    try:
        yield
    except OSError as error:
        raise cannot_write(folder, error) from error
    except SafetensorError as error:
        raise InputError(
            f"{folder} cannot be written ({first_line(error)}); choose another --out"
        ) from error


def _train_ancestor(family: str, folder: Path, work: Path, seed: int, line: int | None) -> Path:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    with _bar(family, Method.ANCESTOR, STEPS[Family(family)], line) as bar:
        model, tokenizer, curve = pretrain(
            family, seed, work, device=device, advance=lambda step: _move(bar, step)
        )
    recipe = {stage.name: dataclasses.asdict(stage) for stage in STAGES[Family(family)]}
    facts = {"recipe": recipe, "steps": STEPS[Family(family)], "seed": seed, "curve": curve}
    return _save(model.cpu().eval(), tokenizer, folder, family, Method.ANCESTOR, facts)


def _train_specialist(
    family, method, ancestor_folder, out: Path, work: Path, seed: int, line
) -> Path:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    ancestor = load_checkpoint("ancestor", ancestor_folder).to(device)
    tokenizer = AutoTokenizer.from_pretrained(ancestor_folder)
    recipe = RECIPES[method]
    with _bar(family, method, recipe.steps, line) as bar:
        model, curve, step = posttrain(
            method,
            ancestor,
            tokenizer,
            seed,
            work / family / method,
            recipe=recipe,
            ancestor_hash=checkpoint_hash(ancestor_folder),
            advance=lambda step: _move(bar, step),
        )
    facts = {"recipe": recipe, "steps": step, "seed": seed, "curve": curve}
    return _save(model.cpu(), tokenizer, out / family / method, family, method, facts)


def _move(bar, step: int) -> None:
    bar.n = step + 1
    bar.refresh()
