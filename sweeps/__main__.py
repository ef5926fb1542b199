"""Entry points: the ``sweeps`` command, ``python -m sweeps``, and a study file executed by itself."""

from __future__ import annotations

import sys

from sweeps.study import Study


def leave_no_password() -> None:
    """Take a password off the command line, where everybody reads it, before anything else happens."""
    if any("://" in argument and "@" in argument for argument in sys.orig_argv):
        from sweeps.access import leave_process_list

        leave_process_list()


def entry() -> None:
    """Run the ``sweeps`` command."""
    from sweeps.commands import run_cli

    leave_no_password()

    sys.exit(run_cli(sys.argv[1:]))


def main(study: Study) -> None:
    """Run ``study`` with the options of ``sweeps run`` from the command line; what a study file ends with."""
    from sweeps.commands import run_cli

    leave_no_password()

    sys.exit(run_cli(["run", *sys.argv[1:]], study=study))


if __name__ == "__main__":
    entry()
