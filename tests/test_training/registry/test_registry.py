"""What MLflow keeps of a training: enough to find it, to trace it, and to score without us."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from mlflow.exceptions import MlflowException

from models import Bundle, RateRegressor, RiskClassifier
from models.bundle.profile import Profile
from models.policy import Policy
from training.registry import mlflow_api as mlflow_process
from training.registry.mlflow_api import Registry, sqlite_url
from training.registry.packaging import DISTRIBUTIONS, copy_code, requirements
from training.registry.runs import sha256_of
from training.registry.tracker import Tracker
from training.studies.tracked import of_backtest, of_drift, of_indicators, of_search

ROOT = Path(__file__).parents[3]
STATED = {"name": "m", "as_of": "2025-01-01", "restriction": "public", "variant": "public",
          "data_fingerprint": "d" * 64, "git_commit": "unknown"}  # fmt: skip


def small_bundle(folder: Path) -> tuple[Bundle, pd.DataFrame]:
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"license_years": rng.normal(size=400), "border_km": rng.normal(size=400)})
    X.iloc[::7, 0] = np.nan
    y = (X["border_km"] > 1).astype(int)
    heads = {
        "compliance": RiskClassifier(n_repeats=1, n_folds=2, max_rounds=5).fit(X, y),
        "diversion": RateRegressor(n_repeats=1, n_folds=2, max_rounds=5).fit(X, 1 + y),
    }
    margins = {name: np.asarray(head.predict_margin(X)) for name, head in heads.items()}
    signals = [{"name": name, "family": name.split("_")[0]} for name in X]
    bundle = Bundle(heads, Policy.read(), signals, Profile.of(X, margins), "# Card", STATED)
    bundle.save(folder)
    return bundle, X


# Runs where nothing of the project can be imported but what the version carries.
ALONE = """
import json, sys
from pathlib import Path
from types import SimpleNamespace
root, uri, columns = sys.argv[1:]
sys.path[:] = [p for p in sys.path if Path(p or ".").resolve() != Path(root).resolve()]
sys.meta_path[:] = [f for f in sys.meta_path if "editable" not in repr(f).lower()]
import mlflow, pandas as pd
mlflow.set_tracking_uri(uri)
model = mlflow.pyfunc.load_model("models:/small@champion")
scores = model.predict(pd.DataFrame(json.loads(columns), dtype="float64"))
import models
client = mlflow.tracking.MlflowClient()
version = client.get_model_version_by_alias("small", "champion")
run = client.get_run(version.run_id)
children = client.search_runs([e.experiment_id for e in client.search_experiments()])
print(json.dumps({
    "scores": scores.to_dict("list"), "code": models.__file__, "tags": version.tags,
    "run": run.info.run_name, "run_tags": run.data.tags, "params": run.data.params,
    "datasets": [[i.dataset.name, i.dataset.digest] for i in run.inputs.dataset_inputs],
    "outputs": model.metadata.signature.outputs.input_names(),
    "example": model.input_example.shape if hasattr(model, "input_example") else None,
    "files": [a.path for a in client.list_artifacts(version.run_id)],
    "children": {r.info.run_name: [r.data.tags.get("mlflow.parentRunId") == p.info.run_id
                                   for p in children if p.info.run_name == "backtest of country"]
                 for r in children if r.info.run_name.startswith("as of")},
    "needed": sorted(line.split("==")[0] for line in open(
        mlflow.pyfunc.get_model_dependencies("models:/small@champion")).read().split()),
}))
"""


@pytest.mark.slow
def test_a_version_is_found_traced_and_scored_by_a_process_of_its_own(tmp_path: Path) -> None:
    bundle, X = small_bundle(tmp_path / "bundle")
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "report.html").write_text("<p>")
    sample = X.iloc[:5]
    plain = {c: [None if np.isnan(v) else v for v in sample[c]] for c in sample}
    digest = "f" * 64
    run = {
        "experiment": "small", "name": "small as of 2025-01-01", "params": {"seed": "7"},
        "metrics": {"auc": 0.7}, "tags": {"bundle_sha256": sha256_of(tmp_path / "bundle")},
        "texts": {"recipe.json": "{}", "policy.toml": ""},
        "datasets": [{"name": "warehouse", "digest": digest, "context": "source",
                      "tags": {"sha256": digest}}],
    }  # fmt: skip
    scores = bundle.score(sample)
    with Tracker(tmp_path / "home") as tracker:
        made = tracker.ask(
            "register", run=run, name="small", bundle=str(tmp_path / "bundle"),
            artifacts=str(tmp_path / "report"),
            sample={"example": plain, "scores": scores.to_dict("list")},
        )  # fmt: skip
        tracker.ask("tag", name="small", version=made["version"], tags={"candidate": "000001"})
        tracker.ask(
            "set_alias", name="small", alias="champion", version=made["version"],
            tags={"bundle": "000004"},
        )  # fmt: skip
        study, children = of_backtest(BACKTEST)
        tracker.ask("log_run", run=study, children=children)
    uri = sqlite_url(tmp_path / "home" / "mlflow.db")
    done = subprocess.run(
        [sys.executable, "-P", "-c", ALONE, str(ROOT), uri, json.dumps(plain)],
        capture_output=True, text=True, cwd=tmp_path,
        env={"PATH": "/usr/bin", "HOME": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout.splitlines()[-1])
    for name, column in scores.items():
        np.testing.assert_allclose(told["scores"][name], column.to_numpy(), rtol=1e-9)
    assert told["outputs"] == list(scores)
    assert str(tmp_path / "home" / "mlartifacts") in told["code"]
    wanted = {"candidate": "000001", "bundle": "000004", **run["tags"]}
    assert wanted.items() <= told["tags"].items()
    assert wanted.items() <= told["run_tags"].items()
    assert told["run"] == run["name"]
    assert told["datasets"] == [["warehouse", digest[:36]]]
    assert {"recipe.json", "policy.toml", "report"} <= set(told["files"])
    assert told["children"] == {"as of 2024-01-01": [True], "as of 2025-01-01": [True]}
    assert set(told["needed"]) == {"mlflow", *DISTRIBUTIONS}


@pytest.mark.slow
def test_what_scoring_imports_is_required_and_lies_in_the_code(tmp_path: Path) -> None:
    """In a process that has the code of a version and nothing of the project."""
    small_bundle(tmp_path / "bundle")
    assert [Path(p).name for p in copy_code(tmp_path / "code")] == ["models", "features"]
    script = """
import sys
from contextlib import nullcontext
root, bundle = sys.argv[1:]
sys.meta_path[:] = [f for f in sys.meta_path if "editable" not in repr(f).lower()]
before = set(sys.modules)
import pandas as pd
from models.pyfunc import _load_pyfunc
model = _load_pyfunc(bundle)
model.predict(pd.DataFrame({"license_years": [0.0], "border_km": [1.0]}))
assert not any(m == "mlflow" or m.startswith("training") for m in sys.modules)
import models, features
assert models.__file__.startswith(root) and features.__file__.startswith(root)
tops = {m.split(".")[0] for m in set(sys.modules) - before}
print(*sorted(t for t in tops - sys.stdlib_module_names if "site-packages" in
              str(getattr(sys.modules[t], "__file__", ""))))
"""
    done = subprocess.run(
        [sys.executable, "-P", "-c", script, str(tmp_path / "code"), str(tmp_path / "bundle")],
        capture_output=True, text=True, cwd=tmp_path,
        env={"PATH": "/usr/bin", "PYTHONPATH": str(tmp_path / "code")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    required = {"lightgbm", "numba", "numpy", "pandas", "pyarrow", "dateutil", "sklearn", "scipy",
                "threadpoolctl"}  # fmt: skip
    # What those ask for themselves, or use where it is there.
    brought = {"joblib", "llvmlite", "narwhals", "six", "pytz", "psutil", "yaml",
               "cffi", "setuptools", "pkg_resources",
               "numexpr", "bottleneck", "matplotlib", "cycler", "kiwisolver", "pyparsing",
               "packaging", "PIL", "mpl_toolkits", "rich", "cloudpickle", "coverage",
               "charset_normalizer"}  # fmt: skip
    found = {name for name in done.stdout.split() if not name.startswith("_")}  # compiled parts
    assert required >= found - brought, found - brought - required
    assert len(requirements()) == len(DISTRIBUTIONS)


BACKTEST = {
    "recipe": "country", "data_fingerprint": "a" * 64, "capacity": 0.1, "left_out": [],
    "dates": [
        {"as_of": "2024-01-01", "n_labels": 300, "figures": {"model": {"auc": {"value": 0.6}}}},
        {"as_of": "2025-01-01", "n_labels": 400, "figures": {"model": {"auc": {"value": 0.7}}}},
    ],
}  # fmt: skip


def test_studies_become_runs_and_their_parts_runs_below() -> None:
    run, children = of_backtest(BACKTEST)
    assert run["name"] == "backtest of country"
    assert run["datasets"][0]["digest"] == "a" * 64
    assert [c["metrics"]["figures.model.auc.value"] for c in children] == [0.6, 0.7]
    run, children = of_search(
        {
            "recipe": "country", "trained_on": "2025-01-01", "data_fingerprint": "b" * 64,
            "parameters": {"num_leaves": 6}, "loss": 0.2, "default_loss": None, "n_trials": 2,
            "trials": [
                {"number": 0, "loss": 0.2, "is_given_up": False, "parameters": {"num_leaves": 6}},
                {"number": 1, "loss": None, "is_given_up": True, "parameters": {"num_leaves": 9}},
            ],
        }
    )  # fmt: skip
    assert (run["params"]["best.num_leaves"], run["metrics"]["loss"]) == ("6", 0.2)
    assert [c["tags"]["is_given_up"] for c in children] == ["false", "true"]
    assert children[1]["metrics"] == {}
    run, _ = of_drift(
        {
            "name": "ffl-risk-country", "as_of": "2025-01-01", "bundle": "000001", "version": "3",
            "advice": "watch",
            "drift": [{"name": "traces_n_3y", "stability_index": 0.3}],
        }
    )  # fmt: skip
    assert run["metrics"] == {"traces_n_3y": 0.3}
    assert (run["tags"]["advice"], run["tags"]["version"]) == ("watch", "3")
    run, _ = of_indicators(
        {
            "recipe": "country", "data_fingerprint": "c" * 64, "n": 900, "n_positive": 40,
            "n_random": 0, "propensity_auc": float("nan"),
            "families": [{"family": "traces", "alone": {"value": 0.6}, "added": None}],
        }
    )  # fmt: skip
    assert run["metrics"] == {
        "n": 900.0, "n_positive": 40.0, "n_random": 0.0, "traces.alone": 0.6,
    }  # fmt: skip


class _Client:
    """The part of a client that a registration uses; it stops when the alias is to be set."""

    def __init__(self) -> None:
        self.versions = {"1": "earlier", "2": "this"}

    def get_model_version(self, name: str, version: str) -> SimpleNamespace:
        return SimpleNamespace(run_id=self.versions[version])

    def set_model_version_tag(self, *_: str) -> None: ...

    def set_tag(self, *_: str) -> None: ...

    def set_registered_model_alias(self, *_: str) -> None:
        raise KeyboardInterrupt

    def search_model_versions(self, _: str) -> list[SimpleNamespace]:
        return [SimpleNamespace(version=v, run_id=r) for v, r in self.versions.items()]

    def delete_model_version(self, _: str, version: str) -> None:
        del self.versions[version]


class _GoneClient(_Client):
    def search_model_versions(self, _: str) -> list[SimpleNamespace]:
        raise MlflowException("no connection")


@pytest.mark.parametrize(
    ("client", "left"), [(_Client, {"1": "earlier"}), (_GoneClient, {"1": "earlier", "2": "this"})]
)
def test_an_interrupted_registration_leaves_no_version(
    monkeypatch: pytest.MonkeyPatch, client: type[_Client], left: dict[str, str]
) -> None:
    """Whether the server is there to forget it or not, what was interrupted stays interrupted."""
    registry = Registry.__new__(Registry)
    registry.client = client()  # type: ignore[assignment]
    monkeypatch.setattr(registry, "_began", lambda run: nullcontext("this"))
    made = SimpleNamespace(registered_model_version=2)
    pyfunc = SimpleNamespace(log_model=lambda **_: made)
    mlflow = SimpleNamespace(log_artifacts=lambda *_: None, pyfunc=pyfunc)
    monkeypatch.setattr(mlflow_process, "mlflow", mlflow)
    sample = {"example": {"license_years": [1.0]}, "scores": {"compliance": [0.1]}}
    with pytest.raises(KeyboardInterrupt) as ended:
        registry.register(
            run={"tags": {"bundle": "x"}}, name="m", bundle="b", artifacts="a", sample=sample
        )
    assert registry.client.versions == left  # type: ignore[attr-defined]
    told = "".join(getattr(ended.value, "__notes__", ()))
    assert ("no connection" in told) == (client is _GoneClient)


def test_an_interruption_is_no_answer_though_the_server_is_gone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        try:
            raise KeyboardInterrupt
        finally:
            raise MlflowException("no connection")  # as a run does that cannot be ended

    monkeypatch.setattr(Registry, "__init__", lambda *_: None)
    monkeypatch.setattr(Registry, "tag", interrupted)
    asked = json.dumps({"action": "tag", "name": "m", "version": "1", "tags": {}})
    monkeypatch.setattr(sys, "stdin", [asked])
    monkeypatch.setattr(mlflow_process.os, "dup2", lambda *_: None)
    with pytest.raises(MlflowException, match="no connection"):
        mlflow_process.answer_requests(tmp_path)
