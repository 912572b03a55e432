"""Which revision of the code trained a model."""

from __future__ import annotations

import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import mlops

_SECONDS = 10


def code_revision(package: Path | None = None) -> str:
    """Return the git commit of our code, with `-dirty` where files differ from it; the package's version without git.

    `package` is the folder of the package `mlops`; by default, of the one that runs. A repository that the package
    merely lies in, such as that of a project with a virtual environment of its own, is not taken for ours.
    """
    folder = package or Path(mlops.__file__).parent
    if _git(folder, "ls-files", "--error-unmatch", "__init__.py") is None:
        return _package_version()
    commit = _git(folder, "rev-parse", "HEAD")
    changes = _git(folder, "status", "--porcelain", "--untracked-files=no")
    if commit is None or changes is None:
        return _package_version()
    return f"{commit}-dirty" if changes else commit


def _git(folder: Path, *arguments: str) -> str | None:
    """Return what git prints, None where there is no git, or none of its repositories, or it does not answer."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _package_version() -> str:
    try:
        return f"forecastle {version('forecastle')}"
    except PackageNotFoundError:
        return "unknown"
