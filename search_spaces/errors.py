"""The one error that means: refused, nothing was started. The command line prints it in one line and exits with 2."""


class RefusedError(ValueError):
    """Input that is refused before anything starts; the message names the value, the rule and the way out."""
