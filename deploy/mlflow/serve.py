#!/usr/bin/env python3
"""Serves MLflow to a team: PostgreSQL for what is tracked, S3 for artifacts, a login for everybody.

    python deploy/mlflow/serve.py                       # this machine only, port 5000
    python deploy/mlflow/serve.py --host 0.0.0.0 --uvicorn-opts "--ssl-certfile cert.pem --ssl-keyfile key.pem"

All secrets come from the environment (see README.md here) and stay there: none is written to a file, and none
stands on the command line of the server, where every user of the machine could read it. Options that are not
this script's go to `mlflow server`. Exit status: 2 refused, nothing was started; else that of the server.
"""

from __future__ import annotations

import argparse
import ipaddress
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

MIN_SECRET = 12  # characters; MLflow takes no shorter password
EXAMPLES = {
    "password1234",
    "my-secret-key",
    "changeme",
    "change-me",
}  # what documentation says, everybody knows
DATABASE, ARTIFACTS = "MLFLOW_BACKEND_STORE_URI", "MLFLOW_ARTIFACTS_DESTINATION"
SECRETS = {
    "MLFLOW_AUTH_ADMIN_PASSWORD": "the password of the user `admin`",
    "MLFLOW_FLASK_SERVER_SECRET_KEY": "what signs the forms of the UI, the same on every server of a team",
}
AUTH_CONFIG = """[mlflow]
default_permission = {permission}
database_uri = {database}
admin_username = admin
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
auth_cache_ttl_seconds = 60
"""


class RefusedError(ValueError):
    """What the server may not be started with; the message names it, the rule and the way out."""


def main(arguments: Sequence[str]) -> None:
    """Become the server, or exit with 2 and one line on standard error."""
    options, rest = parser().parse_known_args(arguments)
    try:
        environment = dict(os.environ)
        command = server(options, rest, environment)
    except RefusedError as error:
        print(f"serve.py: {error}", file=sys.stderr)
        sys.exit(2)
    os.execve(sys.executable, command, environment)


def parser() -> argparse.ArgumentParser:
    """Return the parser of this script's own options."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--host", default="127.0.0.1", help="Address to listen at. [default: 127.0.0.1]")
    made.add_argument("--port", type=int, default=5000, help="Port to listen at. [default: 5000]")
    made.add_argument(
        "--no-auth", action="store_true", help="No login; only with an address of this machine."
    )
    made.add_argument(
        "--permission",
        choices=("NO_PERMISSIONS", "READ", "EDIT", "MANAGE"),
        default="EDIT",
        help="What a user may do in the experiments of others. [default: EDIT, which sharing a study takes]",
    )
    return made


def server(options: argparse.Namespace, rest: Sequence[str], environment: dict[str, str]) -> list[str]:
    """Return the command of the server, and make of ``environment`` the one that it is to have.

    Raises:
        RefusedError: If it may not be started.
    """
    for name, value in {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # a dozen idle workers less
    }.items():
        environment.setdefault(name, value)
    database = without_password(required(environment, DATABASE), environment)
    environment[DATABASE] = database
    if not required(environment, ARTIFACTS).startswith("s3://"):
        raise RefusedError(
            f"{ARTIFACTS}={environment[ARTIFACTS]} is no place in S3. Write s3://BUCKET/FOLDER."
        )
    command = [sys.executable, "-m", "mlflow", "server", "--serve-artifacts"]
    command += ["--host", options.host, "--port", str(options.port), *rest]
    if not options.no_auth:
        for name, meaning in SECRETS.items():
            refuse_weak(name, required(environment, name, meaning))
        environment["MLFLOW_AUTH_CONFIG_PATH"] = str(auth_config(options.permission, database))
        return [*command, "--app-name", "basic-auth"]
    if not is_local(options.host):
        raise RefusedError(
            f"--host {options.host} with --no-auth would let everybody in who reaches this machine. "
            "Leave --no-auth away, or listen at 127.0.0.1."
        )
    return command


def required(environment: Mapping[str, str], name: str, meaning: str = "see deploy/mlflow/README.md") -> str:
    """Return a variable of the environment, or raise `RefusedError`."""
    if not environment.get(name):
        raise RefusedError(f"{name} is not set: {meaning}. Set it in the environment of the server.")
    return environment[name]


def refuse_weak(name: str, secret: str) -> None:
    """Raise `RefusedError` when a secret is short, or stands in somebody's documentation."""
    if secret in EXAMPLES:
        raise RefusedError(f"{name} is the example of a documentation. Make one: `openssl rand -base64 24`.")
    if len(secret) < MIN_SECRET:
        raise RefusedError(
            f"{name} has {len(secret)} characters, fewer than {MIN_SECRET}. Make one: `openssl rand -base64 24`."
        )


def without_password(uri: str, environment: dict[str, str]) -> str:
    """Return the URI of a PostgreSQL database without its password, which goes where PostgreSQL looks for it."""
    parts = urlsplit(uri)
    if parts.scheme.partition("+")[0] != "postgresql":
        raise RefusedError(
            f"{DATABASE} is a {parts.scheme or 'file'} store, and a team needs PostgreSQL. "
            "Write postgresql://USER@HOST/DATABASE; for one person `sweeps ui` is enough."
        )
    if "password=" in parts.query:
        raise RefusedError(f"{DATABASE} has a password in its query. Put it into PGPASSWORD.")
    if parts.password is None:
        return uri
    environment["PGPASSWORD"] = unquote(parts.password)
    user, place = parts.netloc.partition(":")[0], parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"{user}@{place}").geturl()


def auth_config(permission: str, database: str) -> Path:
    """Write MLflow's configuration of logins, which holds no secret, where only this user reads it."""
    path = Path(tempfile.mkdtemp(prefix="mlflow-auth-")) / "auth.ini"
    path.write_text(AUTH_CONFIG.format(permission=permission, database=database.replace("%", "%%")))
    return path


def is_local(host: str) -> bool:
    """Return whether nobody but this machine reaches an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


if __name__ == "__main__":
    main(sys.argv[1:])
