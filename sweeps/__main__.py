"""Entry points: the ``sweeps`` command, ``python -m sweeps``, and a study file executed by itself."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NoReturn

from sweeps.signals import treat_sigterm_as_interrupt
from sweeps.study import Study


def leave_no_password() -> None:
    """Take a password off the command line, where everybody reads it, before anything else happens."""
    if any("://" in argument and "@" in argument for argument in sys.orig_argv):
        from sweeps.access import leave_process_list

        leave_process_list()


def run(arguments: Sequence[str], study: Study | None = None) -> NoReturn:
    """Run the command line in this process, and end it with its exit status."""
    from sweeps.commands import run_cli

    leave_no_password()
    treat_sigterm_as_interrupt()
    sys.exit(run_cli(arguments, study=study))


def entry() -> None:
    """Run the ``sweeps`` command."""
    run(sys.argv[1:])


def main(study: Study) -> None:
    """Run ``study`` with the options of ``sweeps run`` from the command line; what a study file ends with."""
    run(["run", *sys.argv[1:]], study)


if __name__ == "__main__":
    entry()
