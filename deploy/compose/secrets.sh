#!/usr/bin/env bash
# Make the trial's secrets, each random, and its own certificate authority; what is there stays.
# usage: deploy/compose/secrets.sh [FOLDER]
set -euo pipefail
umask 077
folder="${1:-$(dirname "$0")/secrets}"
mkdir -p "$folder"
cd "$folder"

random() { openssl rand -hex 24; }

for name in postgres_password store_password mlflow_password keycloak_password \
    keycloak_admin_password oidc_client_secret; do
    [ -s "$name" ] || random | tr -d '\n' > "$name"
done
printf 'postgresql://ffl_risk:%s@database:5432/ffl_risk' "$(cat store_password)" > store_url
printf 'postgresql+psycopg://mlflow:%s@database:5432/mlflow' "$(cat mlflow_password)" > mlflow_url

if [ ! -s tls.crt ]; then
    openssl req -x509 -newkey rsa:3072 -nodes -sha256 -days 825 -keyout ca.key -out ca.crt \
        -subj "/CN=ffl-risk trial authority" \
        -addext "basicConstraints=critical,CA:TRUE" -addext "keyUsage=critical,keyCertSign" 2>/dev/null
    openssl req -newkey rsa:3072 -nodes -sha256 -keyout tls.key -out tls.csr \
        -subj "/CN=ffl-risk.test" 2>/dev/null
    printf 'subjectAltName=DNS:ffl-risk.test,DNS:localhost\nextendedKeyUsage=serverAuth\n' > tls.ext
    openssl x509 -req -in tls.csr -CA ca.crt -CAkey ca.key -CAcreateserial -sha256 -days 397 \
        -extfile tls.ext -out tls.crt 2>/dev/null
    rm tls.csr tls.ext
fi
# The containers run under other accounts than this one; the folder itself stays closed.
chmod 0444 ./*_password ./*_url oidc_client_secret tls.crt tls.key ca.crt
chmod 0711 .
