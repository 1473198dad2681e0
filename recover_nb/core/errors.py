"""The one exception that means: what was given cannot be used, and here is what can."""

from recover_nb.core.visible import visible

#: Characters of a message: what was given can be a token or a name of megabytes.
LONGEST, _END = 2000, 400


class InputError(ValueError):
    """An error in what the user gave, with what to do about it.

    The message is one sentence: what was given, what is allowed, what to do.

    The command line prints it on one line and exits with status 2; widgets show it in their panel.
    """

    def __init__(self, message: str = "") -> None:
        # What was given is quoted, and can hold anything: the message is one line all the same, and
        # moves no cursor where it is shown.
        super().__init__(visible(_short(" ".join(str(message).splitlines()))))


def _short(message: str) -> str:
    """Return a message without the middle of what is too long; what to do stands at its end."""
    if len(message) <= LONGEST:
        return message
    return f"{message[: LONGEST - _END]} ... {message[-_END:]}"


def first_line(error: BaseException) -> str:
    """Return the first line of what an error says, or its kind where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
