"""What `recover_gain` returns."""

import pandas as pd

from recover_nb.core.labels import Verdict
from recover_nb.core.result import Labelled
from recover_nb.core.titles import p_value, plain_zero

#: Which arms may be chosen: every one, or all but the ancestor alone (what the ancestor does alone
#: is no merit of an operator).
POLICIES = ("any", "operators")
_SAID = {"any": "any arm", "operators": "without the ancestor alone"}


class RecoveryGain(Labelled):
    """What a policy gains over asking again at equal passes.

    Attributes
    ----------
    dataset : Dataset
        By ``policy`` (``any``: every arm may be chosen; ``operators``: not the ancestor alone) and
        ``budget`` (passes a problem, observed answers among them). By ``rule`` on the study learned
        from, each learned on other questions: ``dev_rate`` and ``dev_gain`` over retry with
        ``_low``, ``_high`` (95 %, over questions), ``_low_checkpoints``, ``_high_checkpoints``; NaN
        where a rule cannot be followed. ``chosen``: the simplest rule within one standard error of
        the best; ``plans``: what it does; ``dev_retry``. Of the chosen rule on the test study:
        ``retry`` and ``rate`` (shares rescued), ``gain`` with its ends; ``null_mean``, ``null_sd``,
        ``p`` (each problem's outcomes dealt out to its arms anew, the rule chosen again);
        ``gain_other_family``, where rule and plan come from the other family of models;
        ``passes``, ``retry_passes``, ``forward``, ``retry_forward``: spent on a problem after its
        observed answers, in model passes and in forward passes, by the policy and by asking again.
    """

    title = "What does a policy gain over asking again?"
    following = (
        "found.to_dataframe()  # every rule on the study that it is chosen on",
        "found.judged_frame()  # the chosen rule on problems that it has not seen",
        "rnb.recover(pair, problems, budget=8)  # the policy itself",
    )

    def _of(self, name: str, budget: int | None, policy: str) -> object:
        at = self.dataset["budget"].values[-1] if budget is None else budget
        return self.dataset[name].sel(budget=at, policy=policy).item()

    def rule(self, budget: int | None = None, policy: str = POLICIES[0]) -> str:
        """Return the rule that is chosen at a budget, the largest unless given."""
        return str(self._of("chosen", budget, policy))

    def plans(self, budget: int | None = None, policy: str = POLICIES[0]) -> str:
        """Return what the chosen rule does, in words."""
        return str(self._of("plans", budget, policy))

    @property
    def judged(self) -> bool:
        """Whether there was a study to judge on."""
        return bool(self.settings["judged"])

    def verdict_at(self, budget: int | None = None, policy: str = POLICIES[0]) -> Verdict:
        """Return what the interval over questions allows to be said at a budget."""
        if not self.judged:
            return Verdict.NOT_TESTABLE
        low, high = (float(str(self._of(f"gain_{x}", budget, policy))) for x in ("low", "high"))
        if low > 0:
            return Verdict.SUPPORTED
        return Verdict.CONTRADICTED if high < 0 else Verdict.NOT_SHOWN

    @property
    def verdict(self) -> Verdict:
        """Whether the policy gains at the largest budget, on problems that it has not seen."""
        return self.verdict_at()

    @property
    def sentence(self) -> str:
        """What was found at the largest budget, of each policy."""
        settings, budget = self.settings, int(self.dataset["budget"].values[-1])
        said = []
        for policy in POLICIES:
            text = f"{_SAID[policy]}: {self.rule(policy=policy)} ({self.plans(policy=policy)})"
            one = self.dataset.isel(budget=-1).sel(policy=policy)
            if not self.judged:
                gain = one.sel(rule=self.rule(policy=policy))
                ends = [_points(gain[f"dev_gain{x}"]) for x in ("", "_low", "_high")]
                said.append("{}, {} points [{}, {}]".format(text, *ends))
                continue
            ends = [_points(one[f"gain{x}"]) for x in ("", "_low", "_high")]
            wide = [_points(one[f"gain_{x}_checkpoints"]) for x in ("low", "high")]
            text += (
                f" rescues {float(one['rate']):.1%}, asking again {float(one['retry']):.1%}:"
                " {} points [{}, {}] (over checkpoints [{}, {}])".format(*ends, *wide)
            )
            if settings["n_null"]:
                p = p_value(float(one["p"]), settings["n_null"], "studies without effect")
                text += f"; without an effect {_points(one['null_mean'])}, {p}"
            said.append(text)
        count = settings["n"][-1]
        where = "that the rule has not seen" if self.judged else "by folds of questions"
        return (
            f"Of {count:,} problems {where}, {settings['n_rollouts']} wrong answer(s) each, at"
            f" {budget} passes all told. {'. '.join(each[0].upper() + each[1:] for each in said)}."
        )

    def to_dataframe(self) -> pd.DataFrame:
        """Return every rule at every budget on the study learned from.

        Returns
        -------
        DataFrame
            ``policy``, ``budget``, ``rule``, ``dev_rate``, ``dev_gain`` with its ends, and whether
            it is ``chosen``.
        """
        names = [name for name in self.dataset if "rule" in self.dataset[name].dims]
        frame = self.dataset[names].to_dataframe(dim_order=["policy", "budget", "rule"])
        frame = frame.dropna(subset="dev_rate").reset_index()
        chosen = [self.rule(b, p) for p, b in zip(frame["policy"], frame["budget"], strict=True)]
        return frame.assign(chosen=frame["rule"] == chosen)

    def judged_frame(self) -> pd.DataFrame:
        """Return the chosen rule at every budget, judged on the test study where there is one.

        Returns
        -------
        DataFrame
            ``policy``, ``budget``, ``chosen``, ``plans``, all figures that have these,
            ``verdict``.
        """
        names = [name for name in self.dataset if "rule" not in self.dataset[name].dims]
        frame = self.dataset[names].to_dataframe(dim_order=["policy", "budget"]).reset_index()
        said = [
            self.verdict_at(b, p) for p, b in zip(frame["policy"], frame["budget"], strict=True)
        ]
        return frame.assign(verdict=[str(each) for each in said])


def _points(share: object) -> str:
    return plain_zero(f"{100 * float(str(getattr(share, 'item', lambda: share)())):+.1f}")
