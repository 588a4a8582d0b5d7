"""Commands that keep the state: back it up while the service runs, and put it back."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Optional

import typer

keeping_app = typer.Typer()

PassphraseOption = Annotated[
    Optional[Path],  # noqa: UP045 - typer reads annotations at run time on every Python
    typer.Option(
        "--passphrase-file",
        metavar="FILE",
        help="File whose first line is the passphrase. Default: asked for, or standard input.",
    ),
]


@keeping_app.command()
def backup(
    to: Annotated[
        Path, typer.Argument(metavar="TO", help="New folder outside the state folder, or s3://.")
    ],
    passphrase_file: PassphraseOption = None,
    keep: Annotated[
        Optional[int],  # noqa: UP045 - typer reads annotations at run time on every Python
        typer.Option(
            "--keep",
            min=1,
            metavar="N",
            help="Afterwards remove older backups in the folder of TO, but for the newest N.",
        ),
    ] = None,
) -> None:
    """Copy the whole state to a new folder while the service runs; the audit key is sealed.

    Without the passphrase the backup cannot be restored: keep it elsewhere. With an address such as
    s3://bucket/prefix it goes to an object store, by way of the temporary folder of this machine.

    Example: ffl-risk backup /srv/backups/2026-01-01 --passphrase-file /run/secrets/backup
    """
    from features.object_store import address_of
    from serving.commands.printing import say
    from serving.settings import Settings

    settings, address = Settings.from_environment(), address_of(to)
    if address and keep is not None:
        raise typer.BadParameter(
            "--keep is for folders; give the bucket a rule of its own instead."
        )
    passphrase = _passphrase(passphrase_file, is_new=True)
    if address:
        from serving.keeping.object_store_backup import back_up_to

        done = back_up_to(settings, address, passphrase)
    else:
        from serving.keeping.backup import back_up

        done = back_up(settings, to, passphrase)
    say(
        f"Wrote {done.n_files:,} files ({done.n_bytes:,} bytes) to {address or to}, with "
        f"{done.n_audit_records:,} audit records or more. It holds restricted data."
    )
    if keep is not None:
        from serving.keeping.old_backups import remove_old

        gone = ", ".join(remove_old(to, keep))
        say(f"Removed older backups: {gone}." if gone else "No older backup had to go.")


@keeping_app.command()
def restore(
    source: Annotated[Path, typer.Argument(metavar="FROM", help="Folder of the backup, or s3://.")],
    passphrase_file: PassphraseOption = None,
) -> None:
    """Put a backup back into an empty state folder, once all of it is proved.

    Every file is compared with its digest and the audit chain is walked; otherwise nothing is
    restored.

    Example: ffl-risk restore /srv/backups/2026-01-01 --passphrase-file /run/secrets/backup
    """
    from features.object_store import address_of
    from serving.commands.printing import say
    from serving.settings import Settings

    settings, address = Settings.from_environment(), address_of(source)
    passphrase = _passphrase(passphrase_file)
    if address:
        from serving.keeping.object_store_backup import restore_from

        done = restore_from(settings, address, passphrase)
    else:
        from serving.keeping.restore import restore as put_back

        done = put_back(settings, source, passphrase)
    say(
        f"Restored {done.n_files:,} files to {done.folder}; the audit chain holds over "
        f"{done.n_audit_records:,} records. Next: ffl-risk serve"
    )


@keeping_app.command()
def push(
    to: Annotated[Path, typer.Argument(metavar="TO", help="Address such as s3://bucket/prefix.")],
) -> None:
    """Share the warehouse, the bundle and the table in force with other homes.

    They lie in an object store, each file once; the state there changes in one step, and only if no
    other home has pushed since this one last pushed or pulled.

    Example: ffl-risk push s3://shared/ffl-risk
    """
    from serving.commands.printing import say
    from serving.keeping.depot import push as push_to

    home, address = shared_address(to)
    done = push_to(home, address)
    say(f"State {done.generation} is at {address}: {done.n_files:,} files ({done.n_bytes:,} bytes) "
        "went there. They hold restricted data.")  # fmt: skip


@keeping_app.command()
def pull(
    source: Annotated[Path, typer.Argument(metavar="FROM", help="Address that was pushed to.")],
    state: Annotated[
        Optional[int],  # noqa: UP045 - typer reads annotations at run time on every Python
        typer.Option(
            "--state", min=1, help="An earlier state that is kept, into an empty state folder."
        ),
    ] = None,
) -> None:
    """Take up the warehouse, the bundle and the table that were pushed last.

    A running service follows by itself. What this home has and has not pushed is never overwritten.

    Example: ffl-risk pull s3://shared/ffl-risk
    """
    from serving.commands.printing import say
    from serving.keeping.depot import pull as pull_from
    from serving.keeping.depot import pull_earlier

    home, address = shared_address(source)
    done = pull_from(home, address) if state is None else pull_earlier(home, address, state)
    say(f"This home has state {done.generation} of {address}: {done.n_files:,} files "
        f"({done.n_bytes:,} bytes) came from there.")  # fmt: skip


def shared_address(path: Path) -> tuple[Path, str]:
    """Return the state folder, and the address in an object store that a path stands for."""
    from features.home import home
    from features.object_store import address_of
    from serving.errors import InvalidRequestError

    if not (address := address_of(path)):
        raise InvalidRequestError(
            "That is no address of an object store.",
            found=str(path),
            expected="s3://BUCKET/PREFIX",
        )
    return home(), address


def _passphrase(file: Path | None, *, is_new: bool = False) -> str:
    """Read the passphrase; it is never an argument, which others on the machine could see."""
    from serving.errors import InvalidRequestError

    if file is None and sys.stdin.isatty():
        return str(typer.prompt("Passphrase", hide_input=True, confirmation_prompt=is_new))
    try:
        text = sys.stdin.readline() if file is None else file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidRequestError(
            "The passphrase cannot be read.",
            found=type(error).__name__,
            fix="check that --passphrase-file names a text file that this account may read",
        ) from None
    return (text.splitlines() or [""])[0].strip()
