"""Who may write to a tracking store: a login is tried before a sweep, and never shown or recorded.

A login in a URI moves to the environment, where MLflow and PostgreSQL look for it, when the command line reads the
URI. From then on the URI is clean, so no message, record, tag or log can hold a password.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Mapping, MutableMapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from search_spaces.errors import RefusedError
from sweeps.tracking import import_mlflow, reason_of, refuse_deleted

URI = "MLFLOW_TRACKING_URI"
CHECK_S = 5.0  # what asking a server that does not answer may cost the start of a sweep
LOGINS = {  # where the user and the password of a URI belong, by its scheme
    "http": ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"),
    "https": ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"),
    "postgresql": ("PGUSER", "PGPASSWORD"),
}
WITH_LOGIN = re.compile(r"(https?|postgresql(\+\w+)?)://[^/\s]*:[^/\s]*@\S*")


def tracking_uri(given: str | None, out: Path) -> str:
    """Return the tracking URI without a login: the one given, else the environment's, else SQLite beside the results.

    Args:
        given: Of the command line.
        out: Folder of all results.

    Raises:
        RefusedError: If it holds a password that there is no other place for.
    """
    if URI in os.environ:
        os.environ[URI] = without_login(os.environ[URI], os.environ)
    if given:
        return without_login(given, os.environ)
    return os.environ.get(URI) or f"sqlite:///{(out / 'mlflow.db').resolve()}"


def without_login(uri: str, environment: MutableMapping[str, str]) -> str:
    """Return a URI without user and password, and put the two where their users look for them.

    Raises:
        RefusedError: If there is no such place.
    """
    parts = urlsplit(uri)
    scheme = parts.scheme.partition("+")[0]
    if parts.password is None and "password=" not in parts.query:
        return uri
    if scheme not in LOGINS or "password=" in parts.query:
        raise RefusedError(
            f"A password in a {scheme} URI would be recorded. Give it as the database's own client takes it, "
            "or track on an MLflow server: http://HOST:5000."
        )
    for name, value in zip(LOGINS[scheme], (parts.username, parts.password), strict=True):
        environment[name] = unquote(value or "")
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def leave_process_list() -> None:
    """Start this process again without the password on its command line, if one stands there.

    Everybody on the machine can read command lines, and Ray shows them to everybody on the cluster.
    """
    environment = dict(os.environ)
    with suppress(RefusedError):  # the command that reads the URI says so
        arguments = [without_logins(argument, environment) for argument in sys.orig_argv]
        if arguments != sys.orig_argv:
            os.execve(sys.executable, arguments, environment)


def without_logins(argument: str, environment: MutableMapping[str, str]) -> str:
    """Return an argument of a command line with the URI in it, if there is one, as `without_login` leaves it."""
    return WITH_LOGIN.sub(lambda found: without_login(found[0], environment), argument)


def refuse_without_access(uri: str, experiment: str | None, patience_s: float = CHECK_S) -> str | None:
    """Ask a tracking server whether one may write there; one that is away is no reason to refuse.

    Args:
        uri: Tracking URI; only a server is asked.
        experiment: Where one is to write; None to try the login alone.
        patience_s: Seconds that all of it may take.

    Returns:
        Why the server cannot be asked now, None when one may write.

    Raises:
        RefusedError: If the server refuses the login, or writing to the experiment.
    """
    if not uri.startswith("http"):
        return None
    until = time.monotonic() + patience_s
    try:
        if experiment is None:
            ask(uri, "GET", "experiments/search", {"max_results": 1}, until)
            return None
        known = ask(uri, "GET", "experiments/get-by-name", {"experiment_name": experiment}, until)
        if known:
            number = known["experiment"]["experiment_id"]
            refuse_deleted(experiment, number, known["experiment"]["lifecycle_stage"])
            tag = {"experiment_id": number, "key": "written_by", "value": "counterpoise"}
            ask(uri, "POST", "experiments/set-experiment-tag", tag, until)  # who may read may not yet write
    except SilentError as error:
        return str(error)
    return None


def refuse_silent(uri: str, experiment: str | None) -> None:
    """Raise `RefusedError` as `refuse_without_access` does, and for a server that is away, too."""
    silent = refuse_without_access(uri, experiment)
    if silent:
        raise RefusedError(f"{uri} does not answer: {silent}. Try again when it does.")


class SilentError(Exception):
    """A server that does not answer, or not as MLflow does."""


def ask(uri: str, method: str, path: str, content: Mapping[str, object], until: float) -> dict[str, Any]:
    """Return what a tracking server answers, nothing when what was asked for does not exist.

    Args:
        uri: Tracking URI.
        method: Of HTTP.
        path: Of MLflow's API.
        content: What is asked.
        until: When the answer must be there, by the monotonic clock.

    Raises:
        RefusedError: If the server refuses the login, or what was asked for.
        SilentError: If it does not answer in time, or with an error.
    """
    import_mlflow(uri)
    from mlflow.utils.credentials import get_default_host_creds
    from mlflow.utils.rest_utils import http_request

    creds = get_default_host_creds(uri)
    sent = {"params" if method == "GET" else "json": dict(content)}
    quick = {"timeout": max(until - time.monotonic(), 0.1), "max_retries": 0, "raise_on_status": False}
    try:
        answer = http_request(creds, f"/api/2.0/mlflow/{path}", method, **quick, **sent)
        body: dict[str, Any] = answer.json() if answer.status_code == 200 else {}
    except Exception as error:
        raise SilentError(reason_of(error)) from error
    if answer.status_code in (401, 403):
        raise RefusedError(refusal(uri, creds, answer))
    if answer.status_code not in (200, 404):
        raise SilentError(f"it answers {answer.status_code}")
    return body


def refusal(uri: str, creds: Any, answer: Any) -> str:
    """Return why a server refuses, and the way out."""
    if answer.status_code == 403:
        reason = next(iter(answer.text.strip().splitlines()), "")[:120]
        return (
            f"{uri} lets {creds.username or 'you'} not write there (403): {reason}. "
            "Ask its administrator for the permission EDIT."
        )
    known = creds.username or creds.token
    problem = f"refuses the login of {creds.username or 'your token'}" if known else "asks for a login"
    return f"{uri} {problem} (401). Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD."
