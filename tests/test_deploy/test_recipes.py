"""Every recipe is read by the tool it is for, and every variable by the service's own settings."""

import json
import os
import re
import shlex
import shutil
import subprocess
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import compose_spec
import pytest

from serving.access.oidc import principal_of
from serving.schedule.routines import GATE_REFUSED, INPUT_REFUSED
from serving.settings import Settings
from serving.variables import VARIABLES
from tests.test_deploy.tools import DEPLOY, check_command, program, read_yaml

COMPOSE = DEPLOY / "compose"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
MANIFESTS = sorted(
    path for path in (DEPLOY / "kubernetes").glob("*.yaml") if path.name != "kustomization.yaml"
)
KNOWN = {v.name for v in VARIABLES.values()} | {
    f"{v.name}_FILE" for v in VARIABLES.values() if v.kind == "secret"
}


def environments() -> dict[str, dict[str, str]]:
    """Return what each recipe sets."""
    found = {}
    (compose,) = read_yaml(COMPOSE / "compose.yaml")
    for name, service in compose["services"].items():
        found[f"compose {name}"] = service.get("environment", {})
    lines = (DEPLOY / "systemd/ffl-risk.env").read_text().splitlines()
    pairs = [line.lstrip("#").split("=", 1) for line in lines if re.match(r"#?[A-Z_]+=", line)]
    found["systemd"] = dict(pairs)
    (settings,) = read_yaml(DEPLOY / "kubernetes/settings.yaml")
    found["kubernetes"] = settings["data"]
    text = (DEPLOY / "container/Containerfile").read_text().replace("\\\n", " ")
    found["container"] = dict(re.findall(r"\b(FFL_RISK_[A-Z_]+)=(\S+)", text))
    return found


@pytest.mark.parametrize("recipe", sorted(environments()))
def test_the_service_reads_what_a_recipe_sets(recipe: str, monkeypatch, tmp_path: Path):
    for name in [name for name in os.environ if name.startswith("FFL_RISK_")]:
        monkeypatch.delenv(name)
    secret = tmp_path / "secret"
    secret.write_text("postgresql://ffl_risk:x@database:5432/ffl_risk")
    for name, value in environments()[recipe].items():
        assert isinstance(value, str), f"{name} must be quoted"
        if name.startswith("FFL_RISK_"):
            assert name in KNOWN, name
            is_secret = name.endswith("_FILE") and name.removesuffix("_FILE") in KNOWN
            monkeypatch.setenv(name, str(secret) if is_secret else value)
    settings = Settings.from_environment()
    assert settings.workers in {1, 2}


def test_no_recipe_names_a_variable_that_nothing_reads():
    for path in DEPLOY.rglob("*"):
        if path.is_file():
            named = set(re.findall(r"\bFFL_RISK_[A-Z][A-Z_]*[A-Z]\b", path.read_text()))
            assert named <= KNOWN, f"{path.name}: {named - KNOWN}"


def test_no_recipe_holds_a_secret():
    suspicious = re.compile(
        r"(?i)(password|secret|token)\b[\"']?\s*[:=]\s*[\"']?(?!password)[A-Za-z0-9+/]{6,}"
    )
    for path in DEPLOY.rglob("*"):
        if path.is_file():
            found = [m.group() for m in suspicious.finditer(path.read_text())]
            assert found == [], f"{path}: {found}"
    assert "deploy/compose/secrets/" in (DEPLOY.parent / ".gitignore").read_text()


def test_compose_says_what_there_is():
    text = (COMPOSE / "compose.yaml").read_text()
    compose_spec.PyOptions(apply_merge=True).from_yaml(text).validate()
    (compose,) = read_yaml(COMPOSE / "compose.yaml")
    made = (COMPOSE / "secrets.sh").read_text()
    for name, service in compose["services"].items():
        assert set(service.get("secrets", ())) <= set(compose["secrets"]), name
        assert set(service.get("networks", ())) <= set(compose["networks"]), name
        assert set(service.get("depends_on", ())) <= set(compose["services"]), name
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            is_there = source in compose["volumes"] or source == "./inbox"
            assert is_there or (COMPOSE / source).is_file(), source
        if service.get("image", "").startswith("ffl-risk:"):
            assert service["user"] == "10001:10001"
            assert service["read_only"] is True
    for secret in compose["secrets"].values():
        assert Path(secret["file"]).name in made
    published = {n: s["ports"] for n, s in compose["services"].items() if "ports" in s}
    assert published == {"proxy": ["127.0.0.1:8443:8443"]}
    assert int(compose["services"]["service"]["environment"]["FFL_RISK_WORKERS"]) == 2
    run = compose["services"]["run"]
    check_command([*run["entrypoint"][1:], *run["command"]])


def test_the_realm_gives_the_claims_that_the_service_reads():
    realm = json.loads((COMPOSE / "realm.json").read_text())
    (client,) = realm["clients"]
    claims: dict[str, Any] = {"sub": "maria"}
    audiences = []
    for mapper in client["protocolMappers"]:
        config = mapper["config"]
        if mapper["protocolMapper"] == "oidc-audience-mapper":
            audiences.append(config["included.client.audience"])
            continue
        assert {config["id.token.claim"], config["access.token.claim"]} == {"true"}
        value = {"ffl_risk_role": "supervisor", "ffl_risk_areas": "nation"}[
            config["user.attribute"]
        ]
        claims[config["claim.name"]] = [value] if config["multivalued"] == "true" else value
    assert principal_of(claims).areas == frozenset({"nation"})
    environment = environments()["compose service"]
    assert audiences == [environment["FFL_RISK_OIDC_AUDIENCE"]]
    assert client["clientId"] == environment["FFL_RISK_OIDC_CLIENT_ID"]
    assert environment["FFL_RISK_OIDC_ISSUER"].endswith(f"/realms/{realm['realm']}")
    assert environment["FFL_RISK_PUBLIC_URL"] in client["redirectUris"][0]
    assert "users" not in realm  # no account with a known password
    profile = realm["components"]["org.keycloak.userprofile.UserProfileProvider"][0]["config"]
    names = [a["name"] for a in json.loads(profile["kc.user.profile.config"][0])["attributes"]]
    assert {"ffl_risk_role", "ffl_risk_areas"} <= set(names)


@pytest.mark.slow
def test_the_trial_s_secrets_are_random_and_made_once(tmp_path: Path):
    script = [COMPOSE / "secrets.sh", tmp_path / "a"]
    subprocess.run(script, check=True)
    first = {p.name: p.read_bytes() for p in (tmp_path / "a").iterdir()}
    subprocess.run(script, check=True)
    assert {p.name: p.read_bytes() for p in (tmp_path / "a").iterdir()} == first
    subprocess.run([COMPOSE / "secrets.sh", tmp_path / "b"], check=True)
    passwords = [n for n in first if n.endswith("_password")]
    assert len(passwords) == 5
    for name in passwords:
        assert len(first[name]) == 48
        assert (tmp_path / "b" / name).read_bytes() != first[name]
    folder = tmp_path / "a"
    done = subprocess.run(
        ["openssl", "verify", "-CAfile", folder / "ca.crt", "-verify_hostname", "ffl-risk.test",
         folder / "tls.crt"], capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (folder / "ca.key").stat().st_mode & 0o077 == 0
    assert folder.stat().st_mode & 0o066 == 0


@pytest.mark.slow
def test_the_proxy_starts_before_the_names_behind_it_are_there(tmp_path: Path):
    """Nothing here answers to them, as in a trial whose service is still to start."""
    nginx = program("nginx")
    text = proxy_text(tmp_path, {})
    (tmp_path / "nginx.conf").write_text(text)
    done = subprocess.run(
        [nginx, "-t", "-p", tmp_path, "-c", tmp_path / "nginx.conf"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "[warn]" not in done.stderr


def proxy_text(folder: Path, servers: dict[str, str], *, port: int = 8443) -> str:
    """Return the proxy's configuration for a folder and ports of this machine."""
    subprocess.run([COMPOSE / "secrets.sh", folder / "secrets"], check=True)
    text = (COMPOSE / "nginx.conf").read_text()
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "".join(f"\n{kind}_temp_path {folder}/{kind};" for kind in kinds)
    places = {
        "/run/secrets/tls_certificate": f"{folder}/secrets/tls.crt",
        "/run/secrets/tls_key": f"{folder}/secrets/tls.key",
        "/run/nginx/nginx.pid": f"{folder}/nginx.pid",
        "/dev/stdout": f"{folder}/access.log",
        "error_log stderr": f"error_log {folder}/error.log",
        "listen 8443": f"listen 127.0.0.1:{port}",
        ":8443;": f":{port};",
        "events {": "daemon off;\nevents {",
        "http {": f"http {{{temporary}",
        **servers,
    }
    for old, new in places.items():
        assert old in text, old
        text = text.replace(old, new)
    return text


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda p: p.name)
def test_a_manifest_is_what_its_kind_asks_for(path: Path):
    import kubernetes_validate  # three seconds, in each process that collects

    for document in read_yaml(path):
        kubernetes_validate.validate(document, "1.37", strict=True)


def test_manifests_name_what_there_is():
    (kustomization,) = read_yaml(DEPLOY / "kubernetes/kustomization.yaml")
    assert sorted(kustomization["resources"]) == [path.name for path in MANIFESTS]
    documents = [document for path in MANIFESTS for document in read_yaml(path)]
    names = {(d["kind"], d["metadata"]["name"]) for d in documents}
    for document in documents:
        for pod in pods(document):
            (container,) = pod["containers"]
            for source in container["envFrom"]:
                assert ("ConfigMap", source["configMapRef"]["name"]) in names
            volumes = {volume["name"]: volume for volume in pod["volumes"]}
            assert {mount["name"] for mount in container["volumeMounts"]} == set(volumes)
            for volume in volumes.values():
                if claim := volume.get("persistentVolumeClaim"):
                    assert ("PersistentVolumeClaim", claim["claimName"]) in names
            assert pod["securityContext"]["runAsNonRoot"] is True
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            check_command(container["args"])
    (ingress,) = (d for d in documents if d["kind"] == "Ingress")
    for rule in ingress["spec"]["rules"]:
        for way in rule["http"]["paths"]:
            assert ("Service", way["backend"]["service"]["name"]) in names
    (deployment,) = (d for d in documents if d["kind"] == "Deployment")
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    services = [d for d in documents if d["kind"] == "Service"]
    (service,) = (d for d in services if d["metadata"]["name"] == "ffl-risk")
    assert service["spec"]["selector"].items() <= labels.items()


def pods(document: dict[str, Any]) -> list[dict[str, Any]]:
    spec = document.get("spec", {})
    spec = spec.get("jobTemplate", {}).get("spec", spec)
    return [spec["template"]["spec"]] if "template" in spec else []


def test_systemd_reads_every_unit(tmp_path: Path):
    analyze = program("systemd-analyze")
    for path in (DEPLOY / "systemd").iterdir():
        text = path.read_text().replace("/opt/ffl-risk/bin/ffl-risk ", f"{shutil.which('true')} ")
        (tmp_path / path.name).write_text(text)
    units = [*tmp_path.glob("*.service"), *tmp_path.glob("*.timer")]
    assert len(units) == 7
    done = subprocess.run([analyze, "verify", "--man=no", *units], capture_output=True, text=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    for unit in tmp_path.glob("*.service"):
        done = subprocess.run(
            [analyze, "security", "--offline=true", "--threshold=20", unit],
            capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-200:]


@pytest.mark.parametrize("path", UNITS, ids=lambda p: p.name)
def test_a_unit_starts_a_command_there_is(path: Path):
    unit = ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(path)
    line = unit["Service"]["ExecStart"].replace("$$", "$").replace("%%", "%")
    words = shlex.split(line)
    if words[0] == "/bin/sh":
        line = words[2].removeprefix("exec ").replace("$(date +%Y-%m-%d)", "2026-01-01")
        assert subprocess.run(["sh", "-n", "-c", words[2]]).returncode == 0
        words = shlex.split(line)
    assert words[0] == "/opt/ffl-risk/bin/ffl-risk"
    check_command(words[1:])
    assert unit["Service"]["EnvironmentFile"] == "/etc/ffl-risk/ffl-risk.env"
    timer = path.with_suffix(".timer")
    assert timer.is_file() == (path.name != "ffl-risk.service")


@pytest.mark.parametrize("recipe", ["Containerfile", "bento.dockerfile.j2"])
def test_compiled_kernels_outlive_a_restart(recipe: str):
    text = (DEPLOY / "container" / recipe).read_text()
    (kept,) = re.findall(r"NUMBA_CACHE_DIR=(\S+)", text)
    (volume,) = re.findall(r"^VOLUME (\S+)", text, re.MULTILINE)
    assert Path(kept).is_relative_to(volume)


def test_the_image_s_account_can_write_every_volume_of_the_trial():
    """A volume begins with the owner of the folder in the image: root where there is none."""
    text = (DEPLOY / "container/Containerfile").read_text().replace("\\\n", " ")
    (made,) = re.findall(r"install -d -m 0700 -o ffl-risk -g ffl-risk((?: /\S+)+)", text)
    (compose,) = read_yaml(COMPOSE / "compose.yaml")
    mounted = {
        volume.split(":")[1]
        for service in compose["services"].values()
        for volume in service.get("volumes", ())
        if service.get("image", "").startswith("ffl-risk:") and volume[0] not in "./"
    }
    assert len(mounted) == 2
    assert mounted <= set(made.split())


def test_where_a_proxy_ends_tls_it_is_believed_about_who_asks():
    """Else all who come through it are one, and one who guesses passwords keeps everybody out."""
    found = {name: set(made) for name, made in environments().items() if "FFL_RISK_HTTPS" in made}
    assert set(found) == {"compose run", "compose service", "kubernetes", "systemd"}
    assert [name for name, made in found.items() if "FFL_RISK_PROXIES" not in made] == []


def test_the_trial_s_proxy_logs_nothing_that_names_a_dealer():
    """The service's own log has no path, query or body; the proxy's must not have them either."""
    text = (COMPOSE / "nginx.conf").read_text()
    (name, logged), *others = re.findall(r"log_format (\w+) '([^']*)'", text)
    assert others == []
    assert set(re.findall(r"\$(\w+)", logged)) == {
        "time_iso8601", "request_method", "status", "request_time", "sent_http_x_request_id",
    }  # fmt: skip
    assert re.findall(r"^\s*access_log (.*);", text, re.MULTILINE) == [f"/dev/stdout {name}"]
    assert re.findall(r"^\s*error_log (.*);", text, re.MULTILINE) == ["stderr crit"]


def test_what_a_unit_names_on_the_host_is_there():
    """The wheel is in /opt/ffl-risk, and nothing else is."""
    for path in (DEPLOY / "systemd").iterdir():
        named = set(re.findall(r"/opt/ffl-risk\b[^\s\"']*", path.read_text()))
        assert named <= {"/opt/ffl-risk/bin/ffl-risk"}, path.name
    assert "mail" not in environments()["systemd"].get("FFL_RISK_NOTIFY_COMMAND", "")


def test_the_image_copies_what_it_needs_and_nothing_else():
    text = (DEPLOY / "container/Containerfile").read_text().replace("\\\n", " ")
    steps = [line.split(maxsplit=1) for line in text.splitlines() if line and line[0] not in "# "]
    allowed = [
        line.removeprefix("!")
        for line in (DEPLOY / "container/Containerfile.dockerignore").read_text().splitlines()
        if line.startswith("!")
    ]
    copied = [
        source
        for word, rest in steps
        if word == "COPY" and "--from" not in rest
        for source in rest.split()[:-1]
    ]
    assert sorted(copied) == sorted(allowed)
    assert all((DEPLOY.parent / source).exists() for source in copied)
    last = dict(steps)
    assert last["USER"] == "10001:10001"
    assert last["VOLUME"] == "/var/lib/ffl-risk"
    assert "/healthz" in last["HEALTHCHECK"]
    assert json.loads(last["ENTRYPOINT"]) == ["ffl-risk"]
    check_command(json.loads(last["CMD"]))


@pytest.mark.parametrize("script", sorted(COMPOSE.glob("*.sh")), ids=lambda p: p.name)
def test_a_script_is_read_by_its_shell(script: Path):
    assert subprocess.run(["bash", "-n", script]).returncode == 0
    assert os.access(script, os.X_OK)


def test_a_second_try_does_not_hide_what_a_run_set_aside_or_refused():
    runs = [one for one in read_yaml(DEPLOY / "kubernetes/runs.yaml") if one["kind"] == "CronJob"]
    assert len(runs) == 2
    for run in runs:
        job = run["spec"]["jobTemplate"]["spec"]
        assert job["template"]["spec"]["restartPolicy"] == "Never"  # else no policy counts
        (rule,) = job["podFailurePolicy"]["rules"]
        (container,) = job["template"]["spec"]["containers"]
        assert rule["action"] == "FailJob"
        assert rule["onExitCodes"]["containerName"] == container["name"]
        assert set(rule["onExitCodes"]["values"]) == {INPUT_REFUSED, GATE_REFUSED}
