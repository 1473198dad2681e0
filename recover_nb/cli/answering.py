"""What `recover-nb recover` and `recover-nb recover-gain` do."""

from argparse import Namespace
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from recover_nb.cli.saying import note, say, say_json
from recover_nb.core.door import admit
from recover_nb.core.errors import InputError
from recover_nb.core.extras import need
from recover_nb.core.places import check_free, placed
from recover_nb.core.plain import plain
from recover_nb.generation import companions
from recover_nb.io import store
from recover_nb.io.formulas import csv_bytes
from recover_nb.io.problems import read_problems


def recover(options: Namespace) -> None:
    """Answer the problems of a file within a budget."""
    if (options.models is None) == (options.lineage is None):
        raise InputError(
            "--models SPECIALIST ANCESTOR or --lineage FAMILY METHOD is needed, and not both: who"
            " answers"
        )
    for path in filter(None, (options.out, options.keep)):
        check_free(Path(path), replace=False)
    if options.keep is not None:
        store.suffix_of(options.keep)
    generation = need("recover_nb.generation.recover", "models", "answering problems")
    problems = read_problems(options.problems, task=options.task)
    with nullcontext() if options.study is None else store.open_study(options.study) as study:
        found = generation.recover(
            _pair(options),
            problems,
            options.checker,
            budget=options.budget,
            study=study,
            n_rollouts=options.rollouts,
            rule=options.rule,
            unit=tuple(options.lineage or ("", "")),
        )
    if options.out is not None:
        with placed(Path(options.out)) as temporary:
            temporary.write_bytes(csv_bytes(found.answers))
        note(f"wrote {options.out}")
    if options.keep is not None:
        note(f"wrote {store.save_study(found.study, Path(options.keep))}")
    if options.json:
        say_json(found.to_dict())
        return
    say(found.sentence)


def _pair(options: Namespace) -> Any:
    if options.lineage is not None:
        lineage = need("recover_nb.generation.lineage", "models", "the lineage")
        return lineage.load_lineage(*options.lineage, device=options.device)
    decoding = need("recover_nb.generation.decoding", "models", "decoding")
    return decoding.load_pair(*options.models, device=options.device)


def recover_gain(options: Namespace) -> None:
    """Print what the policy gains over asking again at equal passes."""
    routing = need("recover_nb.routing.recovery", "models", "the gain")
    bundled = options.source is None
    ds = store.load_study() if bundled else store.open_study(options.source)
    test = companions.load_unseen() if bundled else None
    if options.test is not None:
        test = store.open_study(options.test)
    with ds:
        admit(ds, options.source or "the bundled study")
        budgets = options.budget or routing.BUDGETS
        found = routing.recover_gain(ds, test, budgets=sorted(set(budgets)), seed=options.seed)
    if options.json:
        say_json(plain({**found.to_dict(), "judged": found.judged_frame().to_dict("records")}))
        return
    rules = found.to_dataframe().round(4).to_string(index=False)
    judged = found.judged_frame().set_index(["policy", "budget"]).T.to_string()
    say(found.sentence, "", "Rules, each learned on other questions:", rules, "", "Chosen:", judged)
