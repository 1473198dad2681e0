"""Hold what `rnb.recover` does live to what `rnb.recover_gain` says of stored attempts.

Ten problems of each shipped specialist whose first answer was wrong in the companion `unseen`, all
random numbers new: ``python benchmarks/recover_live.py``. Half a minute. The first answer is drawn
anew, too, so some are right at once; what is expected allows for that.
"""

import numpy as np

import recover_nb as rnb
from recover_nb.core.labels import SPECIALISTS, Family
from recover_nb.routing.recovery.choosing import choose_rule, follow
from recover_nb.routing.recovery.reading import read_tried
from recover_nb.routing.routers.rules import taken

BUDGET, EACH, SEED = 8, 10, 11


def main() -> None:
    """Print what was right live and what was expected, of the policy and of asking again."""
    study, unseen = rnb.load_study(), rnb.load_unseen()
    tried = read_tried(study, 1)
    rule, given, value = choose_rule(tried, BUDGET)
    every, rng = np.arange(len(tried.wins)), np.random.default_rng(0)
    family, method = (unseen[name].values.astype(str) for name in ("family", "method"))
    live: dict[str, list[float]] = {rule: [], "retry": []}
    expected: dict[str, list[float]] = {rule: [], "retry": []}
    for unit in ((one.value, other.value) for one in Family for other in SPECIALISTS):
        mine = (family == unit[0]) & (method == unit[1]) & rnb.first_failed(unseen, 1)
        some = unseen.isel(problem=rng.permutation(np.flatnonzero(mine))[:EACH])
        stored = read_tried(some, 1)
        once = stored.wins[:, 0] / stored.trials[:, 0]
        pair, worth = rnb.load_lineage(*unit), given.worth(stored)
        for name in live:
            found = rnb.recover(
                pair,
                rnb.read_problems(some),
                study=study,
                budget=BUDGET,
                rule=name,
                unit=unit,
                settings=rnb.Settings(seed=SEED),
            )
            live[name] += found.answers["right"].tolist()
            choice = follow(name, given, value, every, stored.seen)
            expected[name] += (once + (1 - once) * taken(worth, choice)).tolist()
    for name, right in live.items():
        error = np.std(right) / np.sqrt(len(right))
        print(
            f"{name}: {np.mean(right):.1%} of {len(right)} right live (standard error"
            f" {error:.1%}), {np.mean(expected[name]):.1%} expected"
        )


if __name__ == "__main__":
    main()
