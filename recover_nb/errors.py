"""The one exception that means: what was given cannot be used, and here is what can."""


class InputError(ValueError):
    """Input a user can mend. The message is one sentence: what was given, what is allowed, what to do.

    The command line prints it on one line and exits with status 2; widgets show it in their panel.
    """
