"""`ffl-risk`, the one command: mounts each folder's commands and holds no logic.

Each command names the module that does its work; the module is imported only when the command
runs, so that help and completion answer at once.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line."""
    from features.commands import app as features_app  # noqa: F401

    sys.exit(0)


if __name__ == "__main__":
    main()
