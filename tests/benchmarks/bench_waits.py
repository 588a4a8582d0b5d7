"""Where people wait: fits, scores and commands, beside plain LightGBM and the version before.

The version before is a worktree of version 0.1's last commit in a temporary folder, measured by the
same script in its own process, so that both meet the same machine. Figures are processor seconds;
`wall` rows are the clock. `FFL_RISK_BENCH_SIZES=3000x120,17000x16,60000x40` chooses the tables.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]
BEFORE = "b4a6ba2b6a330628e8d0279e69370242c55413c9"
SIZES = os.environ.get("FFL_RISK_BENCH_SIZES", "3000x120,17000x16,60000x40")
COMMANDS = ("--help", "users list", "signals", "check", "rank --k 5", "explain {dealer}")


def seconds(work: Callable[[], object]) -> float:
    before = time.process_time()
    work()
    return time.process_time() - before


def measure(sizes: str) -> dict[str, float]:
    """Measure the code on the path; runs as a process of its own for each version."""
    import lightgbm as lgb

    from models import RiskClassifier
    from tests.benchmarks.inputs.inspections import inspections

    found: dict[str, float] = {}
    for size in sizes.split(","):
        n, p = (int(part) for part in size.split("x"))
        X, y = inspections(n, seed=2)
        X = X.iloc[:, :p]
        plain = lgb.LGBMClassifier(n_estimators=300, num_threads=1, verbosity=-1)
        found[f"plain fit {size}"] = seconds(lambda X=X, y=y, m=plain: m.fit(X, y))
        found[f"plain predict {size}"] = seconds(lambda X=X, m=plain: m.predict_proba(X))
        model = RiskClassifier()
        start = time.perf_counter()
        found[f"fit {size}"] = seconds(lambda X=X, y=y, m=model: m.fit(X, y))
        found[f"fit wall {size}"] = time.perf_counter() - start
        found[f"predict {size}"] = seconds(lambda X=X, m=model: m.predict_proba(X))
        row = X.iloc[[0]]
        model.predict_margin(row)
        found[f"one row {size}"] = (
            seconds(lambda r=row, m=model: [m.predict_margin(r) for _ in range(200)]) / 200
        )
    return found


def commands(code: Path) -> dict[str, float]:
    """Measure the processor seconds of commands in a home with a published country."""
    publish = (
        "import sys; from pathlib import Path; "
        "from tests.benchmarks.inputs.country import publish_country; "
        "print(publish_country(Path(sys.argv[1]))[0])"
    )
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {
            "PYTHONPATH": str(code),
            "FFL_RISK_HOME": folder,
            "FFL_RISK_TABLE_REFUSED_DAYS": "99999",
        }
        made = subprocess.run(
            [sys.executable, "-c", publish, folder],
            env=environment,
            cwd=code,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        dealer = made.stdout.split()[-1]
        for command in COMMANDS:
            words = command.format(dealer=dealer).split()
            run = [sys.executable, "-m", "ffl_risk", *words]
            # Once uncounted: the first command of a home makes its store.
            for _ in range(2):
                before = os.times()
                subprocess.run(run, env=environment, cwd=code, capture_output=True, check=True)
            after = os.times()
            found[command] = (after[2] + after[3]) - (before[2] + before[3])
    return found


def version(code: Path) -> dict[str, float]:
    """Measure a version's code with this script."""
    program = (
        "import importlib.util, json, sys; "
        f"spec = importlib.util.spec_from_file_location('waits', {str(Path(__file__))!r}); "
        "waits = importlib.util.module_from_spec(spec); spec.loader.exec_module(waits); "
        "print(json.dumps(waits.measure(sys.argv[1])))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, SIZES],
        env=os.environ | {"PYTHONPATH": str(code)},
        cwd=code,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1]) | commands(code)


def say(measured: str, value: float, peer: float, target: str) -> None:
    row = {"measure": measured, "value": value, "peer": peer, "ratio": value / peer}
    print(json.dumps(row | {"target": target}), flush=True)  # noqa: T201


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        before = Path(folder) / "before"
        git = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run(
            [*git, "add", "--detach", str(before), BEFORE], check=True, capture_output=True
        )
        try:
            then, now = version(before), version(ROOT)
        finally:
            subprocess.run([*git, "remove", "--force", str(before)], check=True)
    for size in SIZES.split(","):
        for what, target in (
            ("fit", "at most 4 (3,000 rows), 2.5 (60,000)"),
            ("predict", "at most 3"),
        ):
            name, plain = f"{what} {size}", f"plain {what} {size}"
            say(f"{name}: s, against plain LightGBM of 300 trees", now[name], now[plain], target)
            say(f"{name}: s, against version 0.1", now[name], then[name], "")
        wall = f"fit wall {size}"
        say(f"{wall}: s, against version 0.1", now[wall], then[wall], "")
        one = f"one row {size}"
        say(f"{one}: ms, against version 0.1", 1e3 * now[one], 1e3 * then[one], "at most 0.05")
    for command in COMMANDS:
        say(
            f"ffl-risk {command}: s, against version 0.1",
            now[command],
            then[command],
            "at most 0.2",
        )


if __name__ == "__main__":
    main()
