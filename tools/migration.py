"""Write the next migration of the store: what its tables need to become what `METADATA` says.

``python tools/migration.py "keep plans"`` makes a store at the newest revision in memory, lets
Alembic compare it with `serving.store.tables` and writes
``serving/store/migrations/versions/r0002_keep_plans.py``; `HEAD_REVISION` then names it. Read what
was written: a renamed column looks like one dropped and one added, and data is yours to move.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

ROOT = Path(__file__).resolve().parents[1]
STORE = ROOT / "serving" / "store"


def write_migration(name: str) -> Path:
    """Write the module of the next revision and return its path."""
    from serving.store.tables import METADATA

    config = Config()
    config.set_main_option("script_location", str(STORE / "migrations"))
    config.set_main_option("file_template", "r%%(rev)s_%%(slug)s")
    script = ScriptDirectory.from_config(config)
    head = script.get_current_head() or "0000"
    number = f"{int(head) + 1:04d}"
    engine = sa.create_engine("sqlite://")
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        if not compare_metadata(MigrationContext.configure(connection), METADATA):
            raise SystemExit(
                f"The tables at {head} are those of serving/store/tables.py: there is nothing to "
                "migrate. Change the tables first."
            )
        message = name.strip()[:1].upper() + name.strip()[1:]
        command.revision(config, message=message, autogenerate=True, rev_id=number)
    engine.dispose()
    name_head(number)
    (made,) = (STORE / "migrations" / "versions").glob(f"r{number}_*.py")
    return made


def name_head(number: str) -> None:
    """Let the store migrate up to the new revision."""
    module = STORE / "database.py"
    text = module.read_text(encoding="utf-8")
    changed, n = re.subn(
        r'^(HEAD_REVISION\b.*= )"\d+"', rf'\g<1>"{number}"', text, flags=re.MULTILINE
    )
    if n != 1:
        raise SystemExit(f"{module} does not define HEAD_REVISION as a text of digits.")
    module.write_text(changed, encoding="utf-8")


def main() -> int:
    """Read the name and write the migration."""
    if len(sys.argv) != 2 or not re.search(r"[A-Za-z]", sys.argv[1]):
        print("usage: make migration NAME='what it does, in a few words'", file=sys.stderr)
        return 2
    print(f"Wrote {write_migration(sys.argv[1]).relative_to(ROOT)}: read it, then run the tests.")
    return 0


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(main())
