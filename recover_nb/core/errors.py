"""The one exception that means: what was given cannot be used, and here is what can."""

from recover_nb.core.visible import visible


class InputError(ValueError):
    """An error in what the user gave, with what to do about it.

    The message is one sentence: what was given, what is allowed, what to do.

    The command line prints it on one line and exits with status 2; widgets show it in their panel.
    """

    def __init__(self, message: str = "") -> None:
        # What was given is quoted, and can hold anything: the message is one line all the same, and
        # moves no cursor where it is shown.
        super().__init__(visible(" ".join(str(message).splitlines())))


def first_line(error: BaseException) -> str:
    """Return the first line of what an error says, or its kind where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
