#!/usr/bin/env bash
# Run once by PostgreSQL's image on an empty volume: one database and one owner for each program.
set -euo pipefail
for name in ffl_risk:store mlflow:mlflow keycloak:keycloak; do
    owner="${name%%:*}"
    password="$(cat "/run/secrets/${name##*:}_password")"
    psql --username "$POSTGRES_USER" --dbname postgres --set ON_ERROR_STOP=1 \
        --set "owner=$owner" --set "password=$password" <<'SQL'
CREATE ROLE :"owner" LOGIN PASSWORD :'password';
CREATE DATABASE :"owner" OWNER :"owner";
REVOKE ALL ON DATABASE :"owner" FROM PUBLIC;
SQL
done
