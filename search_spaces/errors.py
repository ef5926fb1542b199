"""The one error that means: refused, nothing was started; and how any error is told in one line."""


class RefusedError(ValueError):
    """Input that is refused before anything starts; the message names the value, the rule and the way out.

    The command line prints it in one line and exits with 2.
    """


class UnfinishedError(OSError):
    """A sweep that had to end before its time, as on a full disk. What is recorded stays; exit status 1."""


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message after its type's name; many messages run on, some are empty."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__
