"""The two sides of a difference: policies by reference, file, folder or git revision."""

from __future__ import annotations

import io
import os
import re
import subprocess
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from engine.decide import Policy, load_policy
from engine.documents import is_path_like
from engine.errors import PolicyError
from engine.policy.store import holds_policies
from engine.records import record

_GIT = "git:"
_VERSION_FILE = re.compile(r"\d+\.\d+\.\d+\.yaml\Z")


@record
class Side:
    """One side: a policy's reference, and the folders that it is looked up in."""

    label: str
    reference: str
    folders: tuple[str, ...]

    def load(self) -> Policy:
        """The policy, ready to decide.

        Raises:
            EngineError: there is none, or it has faults.
        """
        return load_policy(self.reference, self.folders)


@contextmanager
def side(text: str, policy: str, folders: Sequence[str]) -> Iterator[Side]:
    """What a side's text means, as long as it is needed.

    Args:
        text: `name@1.0.0`, a file, a folder of policies, or `git:REV:path` of a file or a folder.
        policy: the policy that is meant in a folder.
        folders: policies in front of the shipped ones.

    Raises:
        PolicyError: there is no such thing.
    """
    if text.startswith(_GIT):
        with TemporaryDirectory() as scratch:
            yield _of_path(_checked_out(text, Path(scratch)), text, policy, folders)
        return
    if os.path.isdir(text) or is_path_like(text):
        yield _of_path(Path(text), text, policy, folders)
    else:
        yield Side(text, text, tuple(folders))


def _of_path(path: Path, label: str, policy: str, folders: Sequence[str]) -> Side:
    if path.is_dir():
        if not holds_policies(str(path)):
            raise PolicyError(f"{label}: no policies in it", hint="a folder holds NAME/VERSION.yaml")
        return Side(label, policy, (str(path), *folders))
    root = path.absolute().parent.parent
    own = [str(root)] if _VERSION_FILE.match(path.name) else []
    return Side(label, str(path), (*own, *folders))


def _checked_out(text: str, scratch: Path) -> Path:
    """A file or folder as it was in a revision, with the folder of policies that it stands in."""
    revision, _, path = text.removeprefix(_GIT).partition(":")
    if not revision or not path or revision.startswith("-"):
        raise PolicyError(f"'{text}' is no revision", hint="write git:REV:path, like git:main:policies")
    top = Path(_git("rev-parse", "--show-toplevel").decode().strip())
    inside = os.path.relpath(os.path.abspath(path), top)
    if inside.startswith(".."):
        raise PolicyError(f"{path} is not in the repository {top}")
    wanted = inside
    if _VERSION_FILE.search(inside):
        wanted = os.path.dirname(os.path.dirname(inside)) or "."
    archive = _git("-C", str(top), "archive", "--format=tar", revision, "--", wanted)
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(scratch, filter="data")
    found = scratch / inside
    if not found.exists():
        raise PolicyError(f"{text}: no such file in that revision")
    return found


def _git(*arguments: str) -> bytes:
    try:
        return subprocess.run(["git", *arguments], capture_output=True, check=True).stdout
    except FileNotFoundError:
        raise PolicyError("git is not installed") from None
    except subprocess.CalledProcessError as error:
        reason = error.stderr.decode(errors="replace").strip().split("\n")[0].removeprefix("fatal: ")
        raise PolicyError(f"git: {reason}") from None
