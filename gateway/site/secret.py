"""A secret stands in a file of its own that only its user reads. Its content is never part of a message."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from engine.errors import ConfigError

SIZE_MAX = 4096


def read_secret(file: Path, user: str) -> str:
    """The first line of `file`, which belongs to `user`. Raises ConfigError that says how to put it right."""
    put_right = f"sudo chown {user}: {file} && sudo chmod 600 {file}"
    try:
        with file.open("rb") as stream:
            raw = stream.read(SIZE_MAX + 1)
    except FileNotFoundError as error:
        hint = f"write it: sudo install -o {user} -m 600 /dev/stdin {file}"
        raise ConfigError(f"{file}: the password file does not exist", hint=hint) from error
    except PermissionError as error:
        raise ConfigError(f"{file}: this user must not read the password file", hint=put_right) from error
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}", hint=f"look: ls -ld {file}") from error
    if len(raw) > SIZE_MAX:
        raise ConfigError(f"{file}: longer than 4 KiB, this is no password", hint=f"look: ls -l {file}")
    try:
        secret = raw.decode().split("\n", 1)[0].removesuffix("\r")
    except UnicodeDecodeError:  # its cause would quote the secret
        raise ConfigError(f"{file}: the password is not UTF-8 text", hint="write it again as text") from None
    if not secret:
        hint = "write the password into its first line"
        raise ConfigError(f"{file}: the first line of the password file is empty", hint=hint)
    return secret


def exposed_to_others(file: Path) -> bool:
    """True if any user of the box may read it. Raises OSError."""
    return bool(os.stat(file).st_mode & stat.S_IROTH)
