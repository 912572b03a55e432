from __future__ import annotations

import subprocess
from importlib.metadata import version
from pathlib import Path

from mlops.registry import code_revision


def git(folder: Path, *arguments: str) -> str:
    who = ["-c", "user.name=Somebody", "-c", "user.email=somebody@example.org"]
    return subprocess.run(
        ["git", "-C", str(folder), *who, *arguments], check=True, capture_output=True, text=True
    ).stdout.strip()


def test_the_revision_is_the_commit_and_says_where_files_differ(tmp_path: Path) -> None:
    package = tmp_path / "mlops"
    package.mkdir()
    (package / "__init__.py").write_text("")
    git(tmp_path, "init", "-q")
    assert (
        code_revision(package) == f"forecastle {version('forecastle')}"
    )  # a repository that does not hold the package
    git(tmp_path, "add", "mlops")
    git(tmp_path, "commit", "-q", "-m", "first")
    commit = git(tmp_path, "rev-parse", "HEAD")
    assert code_revision(package) == commit
    (tmp_path / "notes.txt").write_text("untracked files are not the code")
    assert code_revision(package) == commit
    (package / "__init__.py").write_text("changed = True")
    assert code_revision(package) == f"{commit}-dirty"


def test_without_git_the_revision_is_the_packages_version(tmp_path: Path) -> None:
    assert code_revision(tmp_path) == f"forecastle {version('forecastle')}"
