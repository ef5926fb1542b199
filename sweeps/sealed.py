"""Environment variables on their way to a cluster, sealed with the cluster's token.

Ray writes what a job's environment holds into its logs, and tells it to everybody who may ask about jobs. So a job
gets secrets as one text that only the token opens, which every node has and a submitter needs anyway. The driver opens
it when it starts, workers before their first trial; decrypted they stand in the memory of those processes alone.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

from search_spaces.errors import RefusedError

SEALED = "SWEEPS_SEALED"
OPENER = "sweeps.sealed.open_sealed"  # what Ray calls in every worker of the job
SALT_BYTES = 16


def with_token() -> bool:
    """Return whether Ray is to use a token."""
    return os.environ.get("RAY_AUTH_MODE", "").lower() == "token"


def find_token() -> str:
    """Return the token of the cluster, from where Ray takes it; empty when there is none."""
    token = os.environ.get("RAY_AUTH_TOKEN", "")
    if not token:
        path = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token")
        token = path.read_text() if path.is_file() else ""
    return token.strip()


def seal(variables: Mapping[str, str], token: str) -> str:
    """Return ``variables`` as one text that only ``token`` opens."""
    from cryptography.fernet import Fernet

    salt = os.urandom(SALT_BYTES)
    text = Fernet(key_of(token, salt)).encrypt(json.dumps(dict(variables)).encode())
    return base64.urlsafe_b64encode(salt).decode() + "." + text.decode()


def open_sealed() -> None:
    """Put what this process was sent sealed into its environment; nothing when it was sent nothing.

    Raises:
        RefusedError: If this machine has not the token that it was sealed with.
    """
    sealed = os.environ.get(SEALED)
    if not sealed:
        return
    from cryptography.fernet import Fernet, InvalidToken

    salt, _, text = sealed.partition(".")
    try:
        key = key_of(find_token(), base64.urlsafe_b64decode(salt))
        os.environ.update(json.loads(Fernet(key).decrypt(text.encode())))
    except (InvalidToken, ValueError):
        raise RefusedError(
            "The variables given by --env cannot be opened: this node has another token than the submitter. "
            "Start Ray on every node with the same RAY_AUTH_TOKEN or ~/.ray/auth_token."
        ) from None


def key_of(token: str, salt: bytes) -> bytes:
    """Return the key that a token gives; slow enough that a weak token is not simply guessed."""
    return base64.urlsafe_b64encode(hashlib.scrypt(token.encode(), salt=salt, n=2**14, r=8, p=1, dklen=32))
