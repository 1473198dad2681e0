"""Cues: one character before each step of a trace that says what comes, or that it is doubtful.

docs/method.md#20-cues. A cue stands where the space before a step stood, so that a trace with cues
is one character longer than without. No trace without cues has one of these characters.
"""

from recover_nb.core import checks
from recover_nb.core.labels import Cue
from recover_nb.tasks.checkers import ANSWER_MARK

#: What stands for each cue. Every vocabulary of the lineage has them.
MARKS = {Cue.RECALL: ",", Cue.COMPUTE: "/", Cue.ANSWER: ";", Cue.DOUBT: "?"}
_PLAIN = str.maketrans(dict.fromkeys(MARKS.values(), " "))


def kind_of(step: str) -> Cue:
    """Return which kind of step a step of a trace is: never `doubt`.

    Examples
    --------
    >>> [kind_of(step).value for step in ("47+85=32", "a:4+5=9", "k.ma=b", "#32")]
    ['compute', 'compute', 'recall', 'answer']
    """
    if step.startswith(ANSWER_MARK):
        return Cue.ANSWER
    return Cue.RECALL if "." in step else Cue.COMPUTE


@checks.takes(text=checks.TEXT, doubtful=checks.whole(-1))
def write_cues(text: str, doubtful: int = -1) -> str:
    """Return a trace with a cue before each step.

    Parameters
    ----------
    text : str
        A trace of a shipped task.
    doubtful : int
        Where the step begins that is marked as doubtful, as `find_origin` says; -1 for none.

    Examples
    --------
    >>> write_cues("47+85=22 22*4=88 #88", 0)
    '?47+85=22/22*4=88;#88'
    """
    written, at = [], 0
    for step in text.split(" "):
        cue = Cue.DOUBT if at == doubtful else kind_of(step)
        written.append(MARKS[cue] + step)
        at += len(step) + 1
    return "".join(written)


@checks.takes(text=checks.TEXT)
def without_cues(text: str) -> str:
    """Return a trace as it would stand without cues.

    Examples
    --------
    >>> without_cues("?47+85=22/22*4=88;#88")
    '47+85=22 22*4=88 #88'
    """
    return text.translate(_PLAIN).removeprefix(" ")
