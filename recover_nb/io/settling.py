"""What needs all rows of a file: whether an `answer` is a text, and the order of rollouts."""

from dataclasses import dataclass

from recover_nb.io.lines import Row
from recover_nb.io.records import Collector
from recover_nb.io.replies import Reply, joined
from recover_nb.io.row_texts import unread_texts
from recover_nb.io.rows import RolloutRow, Unit


@dataclass
class Taken:
    """A rollout of a row, and what is decided once all rows are there.

    Attributes
    ----------
    row : RolloutRow
    number : int or None
        What the row says of its order.
    sure : bool
        Whether its field says nothing else.
    said : str or None
        An ``answer`` that may be the rollout's text, where there is no other.
    values : Row
        Of a row with ``said``.
    """

    row: RolloutRow
    number: int | None
    sure: bool
    said: str | None
    values: Row


def tell_outcome(row: Row, out: Collector) -> None:
    """Tell that a row has no text."""
    out.tell("without_text", "{n} rollouts have a verdict and no text" + named_unread(row))


def named_unread(row: Row) -> str:
    """Return what is said of a row's texts that are not read."""
    names = unread_texts(row)
    return f"; not read: {', '.join(map(repr, names[:5]))}" if names else ""


def settle_texts(taken: list[Taken], out: Collector) -> None:
    """Decide whether an ``answer`` without a text beside it is the text, or what was expected.

    What was expected is the same for all rollouts of a problem.
    """
    asked = [each for each in taken if each.said is not None]
    by_unit: dict[Unit, set[str]] = {}
    for each in asked:
        known = out.problem(each.row.unit).answer
        by_unit.setdefault(each.row.unit, {known} if known else set()).add(each.said or "")
    differ = any(len(answers) > 1 for answers in by_unit.values())
    for each in asked:
        if differ:
            reply = joined(Reply(each.said or ""), each.values.values)
            each.row.text, each.row.hidden = reply.text, reply.hidden
            out.tell(
                "answers_are_texts",
                "`answer` differs between rollouts of one problem, or from the expected answer, and"
                " there is no other text: it is read as what the rollout says (in {n} rows)"
                + named_unread(each.values),
            )
            continue
        about = out.problem(each.row.unit)
        about.answer = about.answer or each.said or ""
        out.tell(
            "answers_are_expected",
            "{n} rollouts have no text: their `answer` is read as the expected one; name a text"
            " generated_text (or response)" + named_unread(each.values),
        )


def settle_numbers(taken: list[Taken], out: Collector) -> None:
    """Give rollouts numbers in the order of their rows where no field does, or one that cannot."""
    groups: dict[tuple[Unit, str], list[Taken]] = {}
    for each in taken:
        groups.setdefault((each.row.unit, each.row.intervention), []).append(each)
    guessed = [each for each in taken if each.number is not None and not each.sure]
    unfit = any(
        len({each.number for each in group}) < len(group)
        for group in groups.values()
        if all(each.number is not None and not each.sure for each in group)
    )
    if guessed and unfit:
        for each in guessed:
            each.number = None
        out.tell(
            "order_of_rows",
            "what looks like the number of a rollout comes twice within a problem, so the {n}"
            " rollouts are numbered in the order of the rows",
            by=len(guessed),
        )
    for group in groups.values():
        used = {each.number for each in group}
        free = 0
        for each in group:
            if each.number is None:
                while free in used:
                    free += 1
                each.number, free = free, free + 1
            each.row.number = each.number


def tell_split_prompts(prompts: dict[Unit, str], out: Collector) -> None:
    """Tell of prompts that stand under several names: those may be names of rollouts."""
    count: dict[tuple, int] = {}
    for unit, prompt in prompts.items():
        count[(*unit[:3], prompt)] = count.get((*unit[:3], prompt), 0) + 1
    twice = sum(n > 1 for n in count.values())
    if twice:
        out.tell(
            "prompts_under_several_names",
            "{n} prompts stand under several problem ids, each of which is a problem of its own; if"
            " the ids are those of rollouts, name what is the problem's problem_id",
            by=twice,
        )
