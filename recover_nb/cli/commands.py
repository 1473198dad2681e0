"""What each command of `recover-nb` does, given its parsed options."""

import json
import os
import shlex
import subprocess
import sys
from argparse import Namespace
from collections.abc import Callable
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import xarray as xr
from tqdm import tqdm

from recover_nb.cli.answering import recover, recover_gain
from recover_nb.cli.convert import export, import_
from recover_nb.cli.notebooks import copy_notebooks
from recover_nb.cli.saying import note, say, say_json
from recover_nb.core.door import admit
from recover_nb.core.errors import InputError
from recover_nb.core.extras import need
from recover_nb.core.labels import Companion, Family, Method, parse
from recover_nb.core.places import check_free, check_study_folder, placed, remove_study
from recover_nb.core.plain import plain
from recover_nb.core.schema import UNIT_COORDS, cell_names, text
from recover_nb.core.shipped import checkout_folder, data_folder
from recover_nb.core.stored_json import json_attr
from recover_nb.core.visible import visible
from recover_nb.core.writable import check_writable
from recover_nb.generation import companions, onward_study
from recover_nb.generation.config import StudyConfig
from recover_nb.io import store

TABLE_SUFFIX = ".csv"
#: Keys by which the figures of a demo are known.
_EVALUATION = ("cells", "overall", "settings")


def run(options: Namespace) -> None:
    """Generate a study."""
    store.suffix_of(options.out)
    config = _config(options)
    runner = need("recover_nb.generation.run", "models", "running a study")
    with _client(options.scheduler, options.workers) as client:
        path = runner.run_study(
            config,
            options.out,
            resume=options.resume,
            lab=options.lab,
            device=options.device,
            client=client,
        )
    say(path)


def _client(address: str | None, workers: int | None) -> AbstractContextManager:
    """Return what holds a client of the scheduler at `address`, or of workers of our own.

    It holds nothing where neither is asked for.
    """
    if address is not None and workers is not None:
        raise InputError(
            "--workers begins processes on this machine and --scheduler uses those of a cluster;"
            " give one of them"
        )
    if address is None and workers is None:
        return nullcontext()
    asked = "--scheduler" if workers is None else "--workers"
    cluster = need("recover_nb.generation.distributed", "cluster", asked)
    return cluster.connected(address) if workers is None else cluster.own_workers(workers)


def _config(options: Namespace) -> StudyConfig:
    """Return the configuration that the options of `run` describe."""
    changes = _chosen(options, interventions=options.intervention, seed=options.seed)
    if options.max_new_tokens is not None:
        changes["settings"] = {"max_new_tokens": options.max_new_tokens}
    return StudyConfig.quick(**changes) if options.quick else StudyConfig(**changes)


def _chosen(options: Namespace, **others: Any) -> dict[str, Any]:
    """Return the cells and sizes that are named, and the others, as fields of a configuration."""
    given = {
        "families": options.family,
        "methods": options.method,
        "tasks": options.task,
        "n_problems": options.problems,
        "n_rollouts": options.rollouts,
        "n_attempts": options.attempts,
        **others,
    }
    return {name: value for name, value in given.items() if value is not None}


def remap(options: Namespace) -> None:
    """Generate a companion of the study: its problems over other numbers, or drawn again."""
    companion = Companion.REDRAWN if options.redraw else Companion.REMAPPED
    chosen = _chosen(options, interventions=options.intervention, problem_seed=options.problem_seed)
    config = companions.companion_config(companion, seed=options.seed, **chosen)
    path = companions.run_companion(
        config,
        options.out,
        resume=options.resume,
        lab=options.lab,
        attempts=options.keep_attempts,
    )
    say(path)


def ablate(options: Namespace) -> None:
    """Compute signals and make attempts at other settings."""
    ablation = need("recover_nb.generation.ablation_run", "models", "ablating a study")
    check_writable(Path(options.out))
    source = options.study or data_folder() / store.BUNDLED
    with store.open_study(source) as ds:
        path = ablation.run_ablations(
            ds,
            options.out,
            n_problems=options.problems,
            resume=options.resume,
            lab=options.lab,
            device=options.device,
        )
    say(path)


def open_source(path: str | Path) -> xr.Dataset:
    """Open a study, or read a profile table into the same form."""
    if str(path).endswith(TABLE_SUFFIX):
        return need("recover_nb.io.profiles", "io", "reading a profile table").from_profiles(path)
    if not any(str(path).endswith(suffix) for suffix in store.SUFFIXES):
        allowed = ", ".join(store.SUFFIXES)
        raise InputError(
            f"{path}: allowed: a study ({allowed}) or a profile table ({TABLE_SUFFIX})"
        )
    return store.open_study(path)


def evaluate(options: Namespace) -> None:
    """Print the evaluation of a study or a profile table."""
    with open_source(options.source) as ds:
        admit(ds, options.source)
        evaluation = _evaluation(ds, options.seed)
        if options.json:
            say_json(evaluation.to_dict())
            return
        tables = need("recover_nb.tables", "models", "printing tables")
        say(tables.summary_text(ds, evaluation))


def audit(options: Namespace) -> None:
    """Print an audit of outcomes, and write its page."""
    routing = need("recover_nb.routing.audit", "models", "an audit")
    outcomes = need("recover_nb.io.outcomes", "io", "reading outcomes")
    is_study = any(options.source.endswith(suffix) for suffix in store.SUFFIXES)
    if options.out is not None:
        check_free(Path(options.out), replace=False)
    router = options.router
    source = (
        store.open_study(options.source) if is_study else outcomes.read_outcomes(options.source)
    )
    if router is not None and router not in source and Path(router).exists():
        router = outcomes.read_choices(router)
    with _stages("auditing") as tell:
        found = routing.audit(
            source,
            router=router,
            default=options.default,
            arms=options.arms,
            attempts=options.attempts,
            seed=options.seed,
            progress=tell,
        )
    if options.out is not None:
        page = need("recover_nb.report.audit", "models", "the page").write_audit(found, options.out)
        note(f"wrote {page}")
    if options.json:
        say_json(found.to_dict())
        return
    say(need("recover_nb.tables.audit", "models", "printing tables").audit_text(found))


def _evaluation(ds: xr.Dataset, seed: int = 0) -> Any:
    evaluation = need("recover_nb.routing.evaluation", "models", "evaluation")
    with _stages("evaluating routing") as tell:
        return evaluation.evaluate_routing(ds, seed=seed, progress=tell)


@contextmanager
def _stages(title: str):
    """Show the name of each stage as it begins, on standard error."""
    with tqdm(desc=title, unit="stage", file=sys.stderr, dynamic_ncols=True, leave=False) as bar:

        def tell(stage: str) -> None:
            bar.set_postfix_str(stage)
            bar.update()

        yield tell


def findings(options: Namespace) -> None:
    """Measure every claim on a study, and write the figures and the page of findings."""
    claims = need("recover_nb.report.findings", "models", "findings")
    figures, page = _findings_files(options)
    # Figures of a source that is not given again stay: the authors' rows need not be at hand.
    claims.check_places(figures, page)
    sources = claims.read_figures(figures)
    bundled = options.source is None
    given = {claims.BUNDLED if bundled else Path(options.source).name: options.source}
    if options.profiles:
        given[claims.AUTHORS] = options.profiles
    for name, source in given.items():
        title = visible(name)
        ds = store.load_study() if source is None else open_source(source)
        with (
            ds,
            tqdm(total=len(claims.SECTIONS), desc=title, unit="section", file=sys.stderr) as bar,
        ):
            sources[name] = claims.measure(
                ds, seed=options.seed, progress=lambda _, bar=bar: bar.update()
            )
    claims.write_findings(sources, figures, page, seed=options.seed)
    say(page)


def _findings_files(options: Namespace) -> tuple[Path, Path]:
    """Return where figures and page go: their places in a checkout, or the named folder."""
    if options.out:
        return Path(options.out, "findings.json"), Path(options.out, "findings.md")
    root = checkout_folder()
    if options.source is not None or root is None:
        raise InputError(
            "--out is needed for the findings of a study of your own, or outside a checkout: a"
            " folder"
        )
    return root / "data" / "findings.json", root / "docs" / "findings.md"


def info(options: Namespace) -> None:
    """Print sizes, models, seeds and provenance."""
    with open_source(options.source) as ds:
        found = describe(ds)
    if options.json:
        say_json(found)
        return
    notes = found.pop("import_notes", ())
    for name, value in found.items():
        say(f"{visible(name)}: {_shown(value)}")
    if notes:
        say("notes on this import:", *(f"  {visible(each)}" for each in notes))


def story(options: Namespace) -> None:
    """Write failures of a study, told in four steps, as a page."""
    telling = need("recover_nb.charts.story", "models", "a story")
    check_free(Path(options.out), replace=False)
    source = options.source
    ds = store.load_study() if source is None else open_source(source)
    with ds:
        say(telling.story(ds, problem=options.problem).save(options.out))


def describe(ds: xr.Dataset) -> dict[str, Any]:
    """Return what a study is, as plain data."""
    attrs = {str(name): _plain_attr(value) for name, value in ds.attrs.items()}
    # A store gives a list of one back as a text.
    if isinstance(attrs.get("import_notes"), str):
        attrs["import_notes"] = [attrs["import_notes"]]
    for name in ("config_json", "provenance_json", "import_counts_json"):
        if name in attrs:
            del attrs[name]
            attrs[name.removesuffix("_json")] = json_attr(ds.attrs, name)
    cells, counts = [], cell_names(ds).tolist()
    for name in dict.fromkeys(counts):
        cells.append({"cell": name, "problems": counts.count(name)})
    found = {
        "sizes": {str(dim): int(size) for dim, size in ds.sizes.items()},
        "interventions": text(ds["intervention"]).tolist(),
        **{name: sorted(set(text(ds[name]).tolist())) for name in UNIT_COORDS[:3]},
        "cells": cells,
        "failed_problems": (
            int((ds["n_failed_rollouts"].values > 0).sum()) if "n_failed_rollouts" in ds else None
        ),
        "megabytes": round(ds.nbytes / 1e6, 1),
    }
    # What is counted here is not what an attribute of that name says.
    return {**found, **{f"attribute {k}" if k in found else k: each for k, each in attrs.items()}}


def _plain_attr(value: Any) -> Any:
    """Return an attribute as data of JSON: others wrote it, and it may be anything."""
    try:
        value = plain(value.tolist() if hasattr(value, "tolist") else value)
    except RecursionError:
        return "(nested too deeply)"
    return value if isinstance(value, str | int | float | bool | list | None) else str(value)


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return "".join(
            f"\n  {visible(name)}: {json.dumps(each) if isinstance(each, dict) else _shown(each)}"
            for name, each in value.items()
        )
    if isinstance(value, list) and value and all(isinstance(each, dict) for each in value):
        rows = (", ".join(f"{k} {v}" for k, v in each.items()) for each in value)
        return "".join(f"\n  {visible(row)}" for row in rows)
    # A line break in a text must not begin a line of its own.
    return visible(", ".join(map(str, value)) if isinstance(value, list) else value)


def train(options: Namespace) -> None:
    """Retrain the lineage, or go on from its specialists."""
    if options.onward or options.cued:
        say(_train_cued(options) if options.cued else _train_onward(options))
        return
    families = [parse(Family, name) for name in options.family or Family]
    methods = [parse(Method, name) for name in options.method or []]
    if options.out is None and checkout_folder() is None:
        raise InputError(
            "--out is needed outside a checkout, whose data/lab is retrained otherwise: a folder"
        )
    out = options.out or data_folder() / "lab"
    training = need("recover_nb.generation.lab.train", "models", "training")
    written = training.train(
        families, methods, out=out, seed=options.seed, ancestors=options.ancestors, progress=True
    )
    for folder in written:
        say(folder)


def _train_onward(options: Namespace) -> Path:
    """Go on from the shipped specialists, and write what it did to the bundled study's problems."""
    for name in ("family", "method", "ancestors", "seed"):
        if getattr(options, name):
            raise InputError(
                f"--{name} does not go with --onward, which goes on from every shipped specialist"
                " with seeds 0, 1 and 2; leave it out"
            )
    if options.out is None:
        raise InputError("--onward needs --out: a new file that ends in .zarr.zip")
    with store.load_study() as ds:
        return onward_study.run_onward(
            ds,
            options.out,
            work=options.work or "runs/onward",
            workers=options.workers,
            tell=lambda name: note(f"done: {name}"),
        )


def _train_cued(options: Namespace) -> Path:
    """Ask the shipped specialists with cues and without, and force cues."""
    for name in ("onward", "family", "method", "ancestors", "seed"):
        if getattr(options, name):
            raise InputError(
                f"--{name} does not go with --cued, which asks the shipped cued and sft; leave it"
                " out, or train them first with --method cued"
            )
    if options.out is None:
        raise InputError("--cued needs --out: a new file that ends in .zarr.zip")
    from recover_nb.generation import cued_study

    return cued_study.run_cued(
        options.out, work=options.work or "runs/cued", tell=lambda name: note(f"done: {name}")
    )


def steps(options: Namespace) -> None:
    """Make the companion of steps."""
    from recover_nb.generation import step_study

    with store.open_study(options.source) if options.source else store.load_study() as ds:
        made = step_study.run_steps(
            ds, options.out, work=options.work, tell=lambda name: note(f"done: {name}")
        )
    say(made)


def bench(options: Namespace) -> None:
    """Run the benchmarks of the checkout."""
    root = checkout_folder()
    script = root / "benchmarks" / "run.py" if root else None
    if script is None or not script.is_file():
        raise InputError(
            "there are no benchmarks here; run recover-nb bench in a checkout that has"
            " benchmarks/run.py"
        )
    flags = [f"--{name}" for name in ("json", "quick", "write") if getattr(options, name)]
    subprocess.run([sys.executable, str(script), *flags], check=True)


def notebooks(options: Namespace) -> None:
    """Copy the notebooks out of the package."""
    copied = copy_notebooks(options.folder)
    for path in copied:
        say(path)
    note(f"open them with: jupyter lab {shlex.quote(str(copied[0]))}")


def demo(options: Namespace) -> None:
    """Run the quick study and write study, evaluation and report.

    An interrupted demo goes on where it stopped.
    """
    runner = need("recover_nb.generation.run", "models", "the demo")
    folder = Path(options.out)
    study, figures, page = (folder / f"demo{suffix}" for suffix in (".zarr", ".json", ".html"))
    config = StudyConfig.quick()
    staging = need("recover_nb.generation.staging", "models", "the demo").Staging(study)
    _check_former_demo(study, figures, page)
    staging.check()
    remove_study(study)
    for old in (figures, page):
        old.unlink(missing_ok=True)
    note("1/3  generating answers, signals, features, regimes and routes")
    if not runner.can_resume(config, study, lab=options.lab):
        # An unfinished demo of another configuration or other checkpoints is not worth keeping.
        staging.remove()
    runner.run_study(config, study, resume=True, lab=options.lab)
    with store.open_study(study, load=True) as ds:
        note("2/3  evaluating by every estimator, against every comparator")
        evaluation = _evaluation(ds)
        with placed(figures) as temporary:
            temporary.write_text(json.dumps(evaluation.to_dict(), indent=1, allow_nan=False) + "\n")
        note("3/3  writing the report")
        need("recover_nb.report", "models", "the report").write_html(ds, evaluation, page)
        say(_in_short(ds, evaluation))
    say(_what_next(study, page))


def _in_short(ds: xr.Dataset, evaluation: Any) -> str:
    """Return what a demo found: a sentence, five verdicts and a small table."""
    tables = need("recover_nb.tables", "models", "printing tables")
    short = need("recover_nb.tables.short", "models", "printing tables")
    rescue = tables.rescue_by_intervention(ds, population=evaluation.populations[0], total=True)
    found = tables.find(evaluation, rescue, tables.firing(ds, total=True))
    try:
        "".join(short.SIGNS.values()).encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return short.short_text(rescue, found, plain=True)
    return short.short_text(rescue, found)


def _what_next(study: Path, page: Path) -> str:
    """Say where a demo's report lies, how to see every table, and where to go from here."""
    # Under make the command is not on the path of the shell.
    called = Path(sys.argv[0])
    command = str(called) if called.name == "recover-nb" and called.parent.name else "recover-nb"
    lab = "make lab" if checkout_folder() else "recover-nb notebooks FOLDER"
    return (
        f"Report      {page}  (open it in a browser; it needs no network)\n"
        f"All tables  {command} evaluate {shlex.quote(str(study))}\n"
        f"Next        {lab}"
    )


def _check_former_demo(study: Path, figures: Path, page: Path) -> None:
    """Refuse places of the demo that hold what no demo wrote.

    Only a former demo is replaced.
    """
    if os.path.lexists(study):
        check_study_folder(study)
    is_report = need("recover_nb.report.write", "models", "the report").is_report
    for path, is_ours in ((figures, _is_evaluation), (page, is_report)):
        if check_free(path, replace=True) is not None and not is_ours(path):
            raise InputError(
                f"{path} was not written by a demo, so it is left alone; choose another --out"
            )


def _is_evaluation(path: Path) -> bool:
    """Whether a file holds an evaluation, as the demo writes it."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and all(name in found for name in _EVALUATION)


COMMANDS: dict[str, Callable[[Namespace], None]] = {
    "run": run,
    "remap": remap,
    "ablate": ablate,
    "evaluate": evaluate,
    "audit": audit,
    "recover": recover,
    "recover-gain": recover_gain,
    "findings": findings,
    "info": info,
    "story": story,
    "train": train,
    "steps": steps,
    "import": import_,
    "export": export,
    "notebooks": notebooks,
    "bench": bench,
    "demo": demo,
}
