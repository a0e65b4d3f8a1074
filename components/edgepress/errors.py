"""The error tree, and the exit code that each branch means.

    EdgePressError                1  anything that went wrong while working
    ├── InputError                2  what the user gave is wrong: one line says what, where and what to do
    │   ├── ConfigError              a configuration file, a key or a value
    │   ├── DataError                a data source or a dataset directory
    │   └── ModelError               a model file or a user's module
    ├── StageError                1  a stage cannot go on for this recipe; the step turns it into a failed candidate
    ├── StorageError              1  an object store cannot be reached, refuses, or holds something else than expected
    │   └── StorageRefusedError       it does not let these credentials in, or has no such bucket
    └── IntegrityError            1  a file is not the one whose digest was recorded

A rejected or inconclusive gate is a verdict and not an error; its exit codes stand here so that every command agrees on them.
"""

import errno

EXIT_DONE = 0
EXIT_FAILED = 1
EXIT_WRONG_INPUT = 2
EXIT_REJECTED = 10
EXIT_INCONCLUSIVE = 11


class EdgePressError(Exception):
    """Base of every error that EdgePress raises on purpose. Its text is one line, fit to be shown to the user."""

    exit_code: int = EXIT_FAILED


class InputError(EdgePressError):
    """What the user gave is wrong."""

    exit_code = EXIT_WRONG_INPUT


class ConfigError(InputError):
    """A configuration file, one of its keys or one of its values is wrong."""


class DataError(InputError):
    """A data source or a dataset directory is wrong."""


class ModelError(InputError):
    """A model file or a user's module is wrong."""


class StageError(EdgePressError):
    """A stage cannot go on for its recipe: it diverged, does not apply, or cannot convert."""


class StorageError(EdgePressError):
    """An object store cannot be reached, refuses the request, or does not hold what was asked for."""


class StorageRefusedError(StorageError):
    """An object store answers, and does not accept the credentials, grants them too little, or has no such bucket."""


class IntegrityError(EdgePressError):
    """A file does not have the digest that was recorded for it."""


def one_line(text: object) -> str:
    """What an error or a server says, fit for a message of one line: every run of blanks and line ends becomes one blank."""
    return " ".join(str(text).split())


def describe_error(error: BaseException) -> tuple[str, int]:
    """One line for the user, and the exit code, for whatever a step raised."""
    if isinstance(error, EdgePressError):
        return str(error), error.exit_code
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{error.filename or 'the working directory'}: no space left on the disk; free some and run again", EXIT_FAILED
    if isinstance(error, KeyboardInterrupt):
        return "interrupted", EXIT_FAILED
    return f"{type(error).__name__}: {one_line(error)}", EXIT_FAILED
