"""How often an audit errs, on simulated outcomes: false finds, and numbers asked for.

``python benchmarks/audit_rates.py`` runs 200 simulations of each kind (some minutes) and
then audits 10,000 problems with 8 arms by the clock; ``--simulations N`` runs fewer.
"""

import argparse
import time

import numpy as np
import pandas as pd
from tqdm import tqdm

from recover_nb.routing.audit import audit
from recover_nb.routing.audit.error_rates import (
    ALIKE,
    BLIND,
    MOST_PROBLEMS,
    enough,
    false_positives,
)

FEW = {"n_bootstrap": 200, "n_permutations": 200, "n_null": 60, "n_splits": 5}


def large(n_problems: int = 10_000, n_arms: int = 8, attempts: int = 6) -> float:
    """Return the processor's seconds of an audit with the default counts."""
    rng = np.random.default_rng(0)
    p = np.clip(rng.beta(2, 2, (n_problems, 1)) + rng.normal(0, 0.1, (n_problems, n_arms)), 0, 1)
    frame = pd.DataFrame(
        rng.binomial(attempts, p) / attempts, columns=[f"arm_{i}" for i in range(n_arms)]
    )
    for i in range(n_arms):
        frame[f"arm_{i}_cost"] = 1.0 + i
    choice = [f"arm_{i}" for i in (p + rng.normal(0, 0.1, p.shape)).argmax(axis=1)]
    start = time.process_time()
    audit(frame, router=choice, attempts=attempts)
    return time.process_time() - start


def main() -> None:
    """Print the rates and the seconds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--simulations", type=int, default=200, metavar="N")
    n = parser.parse_args().simulations
    with tqdm(total=3 * n, unit="study") as bar:

        def step(_: int) -> None:
            bar.update()

        parts = [
            (world, false_positives(world, n_simulations=n, advance=step, **FEW))
            for world in (ALIKE, BLIND)
        ]
        asked = enough(n_simulations=n, advance=step, **FEW)
    for world, frame in parts:
        print(f"arms {world}: told where the truth is none (nominal 0.05)")
        print(frame.to_string(index=False))
    print(
        f"planted 5 points: {asked['asked']:.0f} of {n} audits named a number (median"
        f" {asked['median']:.0f} problems); so many anew told it in {asked['told']:.1%};"
        f" {asked['capped']:.0f} named over {MOST_PROBLEMS:,} and were tried with these"
    )
    print(f"10,000 problems x 8 arms, 6 attempts: {large():.1f} s of one processor")


if __name__ == "__main__":
    main()
