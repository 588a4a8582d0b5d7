"""`ffl-risk`, the one command: mounts each folder's commands and holds no logic.

Each folder's ``commands`` module imports nothing heavy; a command imports what it needs when it
runs, so help and completion answer at once.

Exit codes: 0 done; 1 an unexpected fault; 2 wrong usage; 3 input refused; 4 something needed is
not there yet (no warehouse, no bundle); 5 a gate refused; 130 interrupted.
"""

from __future__ import annotations

import errno
import os
import sys

import typer

from features.commands.app import app as features_app
from features.commands.interruption import INTERRUPTED, left_behind
from features.commands.narrowing import narrowed
from features.errors import FflRiskError
from features.home import keep_private
from serving.commands.app import app as serving_app
from training.commands.app import app as training_app

app = typer.Typer(
    name="ffl-risk",
    help="Rank firearms dealers for compliance inspection, and show why.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for folder_app in (features_app, training_app, serving_app):
    app.add_typer(folder_app)


# What a command meets when a folder cannot be written; anything else is a fault of the program.
DISK_REFUSALS = {
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.ENOTDIR,
    errno.EEXIST,
}


def main() -> None:
    """Run the command line."""
    keep_private()
    # Read by libraries when they are loaded, which no command has done yet. With more threads than
    # one, products of vectors spend most of their time waiting for each other.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    try:
        (narrowed(app, sys.argv[1] if len(sys.argv) > 1 else "") or app)()
    except SystemExit as ended:
        if ended.code == INTERRUPTED:
            told = left_behind(sys.argv[1:])
            typer.secho(f"ffl-risk: Interrupted. {told}", err=True, fg=typer.colors.YELLOW)
        raise
    except FflRiskError as error:
        typer.secho(f"ffl-risk: {error}", err=True, fg=typer.colors.RED)
        sys.exit(error.exit_code)
    except OSError as error:
        if error.errno not in DISK_REFUSALS:
            raise
        where = f" {error.filename}" if error.filename else ""
        typer.secho(
            f"ffl-risk: The file system refused:{where}\n"
            f"  found:    {error.strerror}\n"
            "  to mend:  check that FFL_RISK_HOME, and what else was named, can be written by this "
            "account and has room",
            err=True,
            fg=typer.colors.RED,
        )
        sys.exit(4)


if __name__ == "__main__":
    main()
