"""The sides of a comparison: policies by reference, file, folder or git revision."""

from __future__ import annotations

import os
import re
import subprocess
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory, TemporaryFile
from typing import IO, Literal

from engine.base.errors import PolicyError, quote
from engine.base.records import field, record
from engine.catalogs.store import LONGEST_FILE, PolicyStore, holds_policies, part_files
from engine.decide.policy import Policy, load_policy
from engine.documents import is_path_like

_GIT = "git:"

_MOST_MEMBERS = 10_000
_MOST_BYTES = 64 * 1024 * 1024
_MOST_LEVELS = 32
"""Limits of an archive: members, bytes of all files, levels of folders."""

_SMALLER = "name the folder of policies, not a folder above it"
_LONGEST_MESSAGE = 65_536
_KINDS = {tarfile.SYMTYPE: "a symbolic link", tarfile.LNKTYPE: "a hard link"}
_VERSION_FILE = re.compile(r"\d+\.\d+\.\d+(?:\.yaml)?\Z")
"""A policy: a file, or a folder of its parts."""


@record
class Side:
    """One side: a reference to a policy, and the folders that resolve it."""

    label: str
    reference: str
    folders: tuple[str, ...]
    constants: Mapping[str, object] = field(default_factory=dict)
    """Other values of the policy's constants (`--set`)."""

    def load(self) -> Policy:
        """Load the policy.

        Raises:
            EngineError: the policy is missing or invalid.
        """
        return load_policy(self.reference, self.folders, constants=self.constants)


_DEFAULT = "sharding"


@contextmanager
def sides(left: str, right: str, policy: str | None, folders: Sequence[str]) -> Iterator[tuple[Side, Side]]:
    """Resolve the texts of both sides; files of a git revision exist until the context ends.

    Args:
        left: `name@1.0.0`, a file, a folder of policies, or `git:REV:path` of a file or a folder.
        right: the other side.
        policy: the policy to compare where a side is a folder; None for the one that it holds.
        folders: policy folders, searched before the shipped policies.

    Raises:
        PolicyError: a side does not exist, or no side holds the policy.
    """
    with ExitStack() as stack:
        paths = [_path(text, stack) for text in (left, right)]
        names = [_Held.of(path, text) for path, text in zip(paths, (left, right), strict=True)]
        chosen = _chosen(policy, names)
        old, new = (
            Side(text, text, tuple(folders)) if path is None else _of_path(path, text, chosen, folders)
            for path, text in zip(paths, (left, right), strict=True)
        )
        yield old, new


def _path(text: str, stack: ExitStack) -> Path | None:
    """Return the path that a side means, or None for a reference such as `name@1`."""
    if text.startswith(_GIT):
        return _checked_out(text, Path(stack.enter_context(TemporaryDirectory())))
    return Path(text) if os.path.isdir(text) or is_path_like(text) else None


@record
class _Held:
    """What a side holds: the names of a folder's policies, or the one policy that it means.

    `catalogs` is True for a folder with catalogs, which may change the decisions of a policy from elsewhere.
    """

    label: str
    folder: bool
    names: frozenset[str]
    catalogs: bool = False

    @classmethod
    def of(cls, path: Path | None, label: str) -> _Held:
        if path is None:
            return cls(label, False, frozenset({label.partition("@")[0]}))
        if not path.is_dir() or part_files(str(path)):
            # The name of a file that cannot be read is reported when the file is loaded.
            named = path.parent.name if _VERSION_FILE.match(path.name) else ""
            return cls(label, False, frozenset({named} - {""}))
        if not holds_policies(str(path)):
            raise PolicyError(f"{label}: no policies in this folder", hint="expected files NAME/VERSION.yaml")
        inside, store = os.path.join(path, ""), PolicyStore([path])
        held = {
            kind: {entry.name for entry in store.entries(kind) if entry.path.startswith(inside)}
            for kind in _DOCUMENTS
        }
        return cls(label, True, frozenset(held["policy"]), bool(held["catalog"]))


_DOCUMENTS: tuple[Literal["policy"], Literal["catalog"]] = ("policy", "catalog")


def _chosen(policy: str | None, held: Sequence[_Held]) -> str:
    """Return the reference of the policy to compare in folders.

    Raises:
        PolicyError: no side holds it, or it is one of several.
    """
    folders = [each for each in held if each.folder]
    if not folders:
        return policy or _DEFAULT
    if policy is not None:
        name = policy.partition("@")[0]
        if not any(name in each.names or each.catalogs for each in held):
            raise PolicyError(f"no side holds a policy '{name}'", hint=_listing(folders))
        return policy
    named = [each.names for each in held if each.names]
    names = frozenset.intersection(*named) if named else frozenset({_DEFAULT})
    single = next((each for each in held if not each.folder and each.names), None)
    if single is not None and not names:
        if any(each.catalogs for each in folders):
            names = single.names
        else:
            name = next(iter(single.names))
            raise PolicyError(f"no policy '{name}' in the folder", hint=_listing(folders))
    names = names or frozenset.union(*named)
    if len(names) == 1:
        return next(iter(names))
    if _DEFAULT in names:
        return _DEFAULT
    raise PolicyError("which policy to compare is not clear; name one with --policy", hint=_listing(folders))


def _listing(folders: Sequence[_Held]) -> str:
    return "; ".join(f"{each.label} holds {', '.join(sorted(each.names)) or 'no policy'}" for each in folders)


def _of_path(path: Path, label: str, policy: str, folders: Sequence[str]) -> Side:
    if path.is_dir() and not part_files(str(path)):
        return Side(label, policy, (str(path), *folders))
    root = path.absolute().parent.parent
    own = [str(root)] if _VERSION_FILE.match(path.name) else []
    return Side(label, str(path), (*own, *folders))


def _checked_out(text: str, scratch: Path) -> Path:
    """Check out a file or folder of a revision, with the folder of policies that contains it."""
    revision, _, path = text.removeprefix(_GIT).partition(":")
    if not revision or not path or revision.startswith("-"):
        raise PolicyError(
            f"invalid git revision: '{text}'", hint="expected git:REV:path, as in git:main:policies"
        )
    top = Path(_git("rev-parse", "--show-toplevel").decode().strip())
    inside = os.path.relpath(os.path.abspath(path), top)
    if inside.startswith(".."):
        raise PolicyError(f"{path} is not in the repository {top}")
    wanted = inside
    if _VERSION_FILE.search(inside):
        wanted = os.path.dirname(os.path.dirname(inside)) or "."
    _unpack(text, top, revision, wanted, scratch)
    target = scratch / inside
    if not target.exists():
        raise PolicyError(f"{text}: no such file in that revision")
    return target


def _unpack(text: str, top: Path, revision: str, wanted: str, scratch: Path) -> None:
    """Extract the policies of a revision from git's archive stream.

    Raises:
        PolicyError: git fails, or the archive holds members that a folder of policies does not need.
    """
    command = ["git", "--literal-pathspecs", "-C", str(top)]
    command += ["archive", "--format=tar", revision, "--", wanted]
    # Errors go to a file, so that git never blocks on a full pipe.
    with TemporaryFile() as errors, _started(command, errors) as git:
        assert git.stdout is not None
        try:
            with tarfile.open(fileobj=git.stdout, mode="r|") as members:
                _extract(members, text, scratch)
            complete = True
        except tarfile.TarError:
            complete = False  # git ended early and has reported why
        except BaseException:
            git.kill()
            raise
        while complete and git.stdout.read(1 << 16):  # padding after the archive
            pass
        if git.wait() != 0 or not complete:
            errors.seek(0)
            raise PolicyError(f"git: {_reason(errors.read(_LONGEST_MESSAGE)) or 'its archive is damaged'}")


def _extract(members: tarfile.TarFile, text: str, scratch: Path) -> None:
    count = size = 0
    for member in members:
        count, size = count + 1, size + member.size
        path = PurePosixPath(member.name)
        if count > _MOST_MEMBERS:
            raise PolicyError(f"{text}: more than {_MOST_MEMBERS:,} files and folders", hint=_SMALLER)
        if size > _MOST_BYTES:
            raise PolicyError(f"{text}: more than {_MOST_BYTES // 2**20} MiB of files", hint=_SMALLER)
        if path.is_absolute() or ".." in path.parts or len(path.parts) > _MOST_LEVELS:
            raise PolicyError(f"{text}: {_quoted(member.name)} is not a path in a folder of policies")
        if member.isdir():
            (scratch / path).mkdir(parents=True, exist_ok=True)
        elif not member.isreg():
            raise PolicyError(
                f"{text}: {_quoted(member.name)} is {_KINDS.get(member.type, 'not a regular file')}, "
                "expected a regular file"
            )
        elif path.suffix in (".yaml", ".yml", ".csv", ".json"):
            if member.size > LONGEST_FILE:
                raise PolicyError(
                    f"{text}: {_quoted(member.name)} is larger than {LONGEST_FILE // 2**20} MiB"
                )
            content = members.extractfile(member)
            assert content is not None
            (scratch / path).parent.mkdir(parents=True, exist_ok=True)
            with open(scratch / path, "xb") as file:
                file.write(content.read())


def _quoted(name: str) -> str:
    """Return an untrusted name in printable form."""
    return quote(name.encode("utf-8", "backslashreplace").decode(), 100)


def _started(command: list[str], errors: IO[bytes]) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, stdin=subprocess.DEVNULL)
    except FileNotFoundError:
        raise PolicyError("git is not installed") from None


def _git(*arguments: str) -> bytes:
    try:
        return subprocess.run(["git", *arguments], capture_output=True, check=True).stdout
    except FileNotFoundError:
        raise PolicyError("git is not installed") from None
    except subprocess.CalledProcessError as error:
        raise PolicyError(f"git: {_reason(error.stderr)}") from None


def _reason(errors: bytes) -> str:
    return errors.decode(errors="replace").strip().split("\n")[0].removeprefix("fatal: ")
