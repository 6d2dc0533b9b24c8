"""What others put into the cache is never run or waited for; whatever happens to it, there is an answer."""

from __future__ import annotations

import hashlib
import hmac
import json
import marshal
import os
import random
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import engine
from engine.documents import guarded
from engine.fastpath import artifact_cache as cache
from engine.policy import compiler
from tests.conftest import TOP, Run

POLICY = """apiVersion: engine/v1
kind: Policy
name: doubled
version: 1.0.0
inputs: [{name: n, type: int}]
rule:
  match:
    - output: n * 2
"""
TRIPLED = POLICY.replace("n * 2", "n * 3")
MAGIC = b"engine program 1\n"
"""How files began that were found by their key alone."""

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder, and an empty folder for the secret."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("ENGINE_CACHE", str(folder))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return folder


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    file = tmp_path / "doubled.yaml"
    file.write_text(POLICY)
    return file


@pytest.fixture
def answer(run: Run, policy: Path) -> Callable[[], int]:
    """What the policy says of 21, by the command; 42 unless something else has decided."""

    def ask() -> int:
        ran = run("eval", "--policy", policy, "--input", "-", "--format", "json", stdin="n: 21")
        ran.ok(quiet=True)
        output: int = ran.json["output"]
        return output

    return ask


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the policies that were compiled, as they are."""
    names: list[str] = []
    original = compiler.compile_policy

    def compile_policy(document: object, *rest: object) -> object:
        names.append(document.value["name"])  # type: ignore[attr-defined]
        return original(document, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(compiler, "compile_policy", compile_policy)
    return names


def only(folder: Path) -> Path:
    (file,) = folder.glob("*.program")
    return file


def secret(tmp_path: Path) -> Path:
    return tmp_path / "state" / "shard-policy-engine" / "cache.key"


def evil(marker: Path) -> dict[str, object]:
    """An image whose code leaves a mark."""
    code = compile(f"open({str(marker)!r}, 'w')\ndef decide(n, spend):\n    return (0, None, 7)", "x", "exec")
    return {
        "name": "doubled",
        "version": "1.0.0",
        "digest": "sha256:0",
        "inputs": (("n", "int", False),),
        "auto": {},
        "reads": (),
        "code": code,
        "objects": {"Candidate": (), "Stage": ()},
        "scalars": {},
        "catalogs": {},
        "describing": {},
        "identifying": {},
        "symbols": {},
        "matches": ((None, None, None),),
    }


def test_what_is_kept_is_for_the_user_alone(kept: Path, tmp_path: Path, answer: Callable[[], int]) -> None:
    previous = os.umask(0)
    try:
        assert answer() == 42
    finally:
        os.umask(previous)
    for folder in (kept, secret(tmp_path).parent, secret(tmp_path).parent.parent):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for file in (only(kept), secret(tmp_path)):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_the_tag_is_hmac_of_the_payload(kept: Path, tmp_path: Path, answer: Callable[[], int]) -> None:
    answer()
    content = only(kept).read_bytes()
    head = content.index(b"\n") + 1
    tag, payload = content[head : head + 32], content[head + 32 :]
    key = secret(tmp_path).read_bytes()[-32:]
    assert hmac.new(key, payload, hashlib.sha256).digest() == tag


def test_code_that_somebody_else_put_there_is_not_run(
    kept: Path, tmp_path: Path, answer: Callable[[], int]
) -> None:
    answer()
    file, marker = only(kept), tmp_path / "was run"
    payload = marshal.dumps({"image": evil(marker), "reads": [], "named": None})
    digest = hashlib.sha256(payload).digest()
    magic = file.read_bytes().split(b"\n", 1)[0] + b"\n"
    for head in (MAGIC, magic, b"engine shipped program 2\n"):
        file.write_bytes(head + digest + payload)
        assert answer() == 42
        assert not marker.exists()


def test_code_behind_a_link_in_a_shared_folder_is_not_run(
    kept: Path, tmp_path: Path, answer: Callable[[], int]
) -> None:
    """The victim's own file: something that it has downloaded or unpacked."""
    answer()
    file, marker, own = only(kept), tmp_path / "was run", tmp_path / "downloaded"
    payload = marshal.dumps({"image": evil(marker), "reads": [], "named": None})
    own.write_bytes(MAGIC + hashlib.sha256(payload).digest() + payload)
    file.unlink()
    file.symlink_to(own)
    kept.chmod(0o1777)
    assert answer() == 42
    assert not marker.exists()


def as_link(file: Path) -> None:
    file.rename(file.with_suffix(".moved"))
    file.symlink_to(file.with_suffix(".moved"))


def as_second_name(file: Path) -> None:
    os.link(file, file.with_suffix(".second"))


def as_dangling_link(file: Path) -> None:
    file.unlink()
    file.symlink_to(file)


def as_fifo(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def as_zeros(file: Path) -> None:
    file.unlink()
    file.symlink_to("/dev/zero")


def as_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def as_filled_folder(file: Path) -> None:
    as_folder(file)
    (file / "within").touch()


def as_huge(file: Path) -> None:
    os.truncate(file, 1 << 40)


def as_device(file: Path) -> None:
    file.unlink()
    os.mknod(file, stat.S_IFCHR | 0o600, os.makedev(1, 5))


def as_anybodys(file: Path) -> None:
    os.chown(file, 12345, -1)


def as_writable(file: Path) -> None:
    file.chmod(0o666)


def as_groups(file: Path) -> None:
    file.chmod(0o620)


SHAPES = [
    *(as_link, as_second_name, as_dangling_link, as_fifo, as_zeros, as_folder, as_filled_folder, as_huge),
    *(as_writable, as_groups),
    pytest.param(as_device, marks=needs_root),
    pytest.param(as_anybodys, marks=needs_root),
]


@pytest.mark.parametrize("change", SHAPES)
def test_what_is_no_file_of_the_users_alone_is_not_read(
    kept: Path, answer: Callable[[], int], compiled: list[str], change: Callable[[Path], None]
) -> None:
    answer()
    change(only(kept))
    compiled.clear()
    started = time.monotonic()
    assert answer() == 42
    assert compiled == ["doubled"]
    assert time.monotonic() - started < 5
    assert not list(kept.glob("*.part"))


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o770, 0o707, 0o720])
def test_a_folder_that_others_write_is_no_cache(
    kept: Path, answer: Callable[[], int], compiled: list[str], mode: int
) -> None:
    answer()
    kept.chmod(mode)
    compiled.clear()
    assert answer() == 42
    only(kept).unlink()
    assert answer() == 42
    assert compiled == ["doubled", "doubled"]
    assert not list(kept.iterdir())


@needs_root
def test_a_folder_of_somebody_else_is_no_cache(
    kept: Path, answer: Callable[[], int], compiled: list[str]
) -> None:
    answer()
    os.chown(kept, 12345, -1)
    compiled.clear()
    assert (answer(), answer(), compiled) == (42, 42, ["doubled", "doubled"])


@pytest.mark.parametrize("owner", [pytest.param(12345, marks=needs_root), None])
def test_a_link_to_the_folder_counts_if_it_is_the_users(
    kept: Path, tmp_path: Path, answer: Callable[[], int], compiled: list[str], owner: int | None
) -> None:
    real = tmp_path / "elsewhere"
    real.mkdir(mode=0o700)
    kept.symlink_to(real)
    if owner is not None:
        os.chown(kept, owner, -1, follow_symlinks=False)
    assert (answer(), answer()) == (42, 42)
    assert compiled == ["doubled"] * (1 if owner is None else 2)
    assert len(list(real.iterdir())) == (1 if owner is None else 0)


def test_links_that_lead_in_a_circle_are_no_cache(kept: Path, answer: Callable[[], int]) -> None:
    kept.symlink_to(kept)
    assert answer() == 42


def test_a_folder_that_others_can_replace_is_no_cache(
    kept: Path, tmp_path: Path, answer: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    monkeypatch.setenv("ENGINE_CACHE", str(shared / "mine"))
    assert answer() == 42
    assert not (shared / "mine").exists()
    shared.chmod(0o1777)  # nobody takes away what isn't theirs
    assert answer() == 42
    assert len(list((shared / "mine").iterdir())) == 1


def lost(file: Path) -> None:
    file.unlink()


def replaced(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-32] + bytes(32))


def readable(file: Path) -> None:
    file.chmod(0o644)


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def longer(file: Path) -> None:
    file.write_bytes(file.read_bytes() + b"1")


@pytest.mark.parametrize(
    "change",
    [lost, replaced, readable, cut, longer, as_link, as_second_name, as_fifo, as_zeros, as_huge, as_writable],
)
def test_a_secret_that_others_may_know_is_made_again(
    kept: Path,
    tmp_path: Path,
    answer: Callable[[], int],
    compiled: list[str],
    change: Callable[[Path], None],
) -> None:
    answer()
    before = secret(tmp_path).read_bytes()
    change(secret(tmp_path))
    assert (answer(), answer()) == (42, 42)
    assert compiled == ["doubled", "doubled"]
    if change is not replaced:
        assert secret(tmp_path).read_bytes() != before
        assert stat.S_IMODE(secret(tmp_path).lstat().st_mode) == 0o600


def test_a_secret_inside_the_cache_is_none(
    kept: Path, answer: Callable[[], int], compiled: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cache as a whole may come from elsewhere: restored by a build server, unpacked."""
    monkeypatch.setenv("XDG_STATE_HOME", str(kept / "state"))
    assert (answer(), answer()) == (42, 42)
    assert compiled == ["doubled", "doubled"]
    assert not list(kept.glob("*.program"))


def test_a_cache_from_elsewhere_is_not_believed(
    kept: Path,
    tmp_path: Path,
    answer: Callable[[], int],
    compiled: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answer()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "another machine"))
    answer()
    assert compiled == ["doubled", "doubled"]


def test_one_policys_program_does_not_answer_for_another(
    run: Run, kept: Path, policy: Path, answer: Callable[[], int]
) -> None:
    policy.write_text(TRIPLED)
    assert answer() == 63
    tripled = only(kept)
    policy.write_text(POLICY)
    assert answer() == 42
    (doubled,) = set(kept.glob("*.program")) - {tripled}
    shutil.copy(tripled, doubled)
    assert answer() == 42


def test_a_policy_saved_while_it_is_compiled(
    kept: Path, policy: Path, answer: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    original = compiler.compile_policy

    def compile_policy(*given: object) -> object:
        made = original(*given)  # type: ignore[arg-type]
        policy.write_text(TRIPLED)
        return made

    monkeypatch.setattr(compiler, "compile_policy", compile_policy)
    assert answer() == 42
    monkeypatch.setattr(compiler, "compile_policy", original)
    assert answer() == 63
    assert answer() == 63


@pytest.mark.slow
def test_a_catalog_saved_while_the_policy_is_compiled(
    run: Run, kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "policies"
    shutil.copytree(TOP / "policies", folder)
    asked = (
        *("eval", "--inventory", "-", "--params", "200B", "--quantization", "bf16"),
        *("--format", "json", "--policies", folder, "--policy", "sharding@1"),
    )
    devices = "devices: [{kind: CudaGpu, memory: 80GiB, count: 8}]"
    catalog = folder / "catalog" / "accelerators" / "1.0.0.yaml"
    original = compiler.compile_policy

    def compile_policy(*given: object) -> object:
        made = original(*given)  # type: ignore[arg-type]
        text = catalog.read_text()
        catalog.write_text(
            text.replace("throughput_multiplier: 20.0, rank: 60", "throughput_multiplier: 40.0, rank: 60")
        )
        return made

    monkeypatch.setattr(compiler, "compile_policy", compile_policy)
    before = run(*asked, stdin=devices).json
    monkeypatch.setattr(compiler, "compile_policy", original)
    after = run(*asked, stdin=devices).json
    estimates = [each["plan"]["estimated_tokens_per_sec"] for each in (before, after)]
    assert estimates[1] == 2 * estimates[0]


def test_a_policy_saved_behind_a_kept_one_explains_as_it_decides(
    kept: Path, policy: Path, answer: Callable[[], int]
) -> None:
    """What is compiled late, for an explanation, is the text that the image was made of."""
    answer()
    loaded = engine.load_policy(str(policy))
    policy.write_text(TRIPLED)
    request = engine.Request.from_inputs({"n": 21})
    assert loaded.decide(request).output == 42
    assert loaded.decide(request, explain=True).output == 42


def test_a_policy_that_can_be_read_just_once(run: Run, kept: Path, policy: Path) -> None:
    """As `--policy <(…)` gives it."""
    reading, writing = os.pipe()
    os.write(writing, POLICY.encode())
    os.close(writing)
    try:
        ran = run(
            *("eval", "--policy", f"/dev/fd/{reading}", "--input", "-", "--format", "json"), stdin="n: 21"
        )
    finally:
        os.close(reading)
    assert (ran.code, ran.json["output"]) == (0, 42)


ODD = [
    *(None, 1, "text", [], {}, {"name": "doubled"}),
    {"inputs": ()},
    {"inputs": (1,)},
    {"inputs": (("n",),)},
    {"inputs": ((1, 2, 3),)},
    {"code": 7},
    {"code": compile("1 / 0", "x", "exec")},
    {"code": compile("x = 1", "x", "exec")},
    {"objects": []},
    {"objects": {"Candidate": 1}},
    {"catalogs": {"a": 1}},
    {"symbols": {"a": ()}},
    {"symbols": {"a": ("helper", "none of this name")}},
    {"matches": {}},
    {"auto": {"n": 1}},
    {"auto": {1: {}}},
]


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: str(odd)[:30])
def test_odd_structures_are_not_used(
    kept: Path, policy: Path, answer: Callable[[], int], monkeypatch: pytest.MonkeyPatch, odd: object
) -> None:
    """Even where they carry the right tag: an engine of the same version may have been another."""
    original = cache._payload

    def payload(image: object, *rest: object) -> bytes | None:
        whole = original(image, *rest)  # type: ignore[arg-type]
        assert whole is not None
        kept_ = marshal.loads(whole)
        wrong = {**kept_["image"], **odd} if isinstance(odd, dict) and len(odd) == 1 else odd
        return marshal.dumps({**kept_, "image": wrong})

    monkeypatch.setattr(cache, "_payload", payload)
    assert answer() == 42
    monkeypatch.setattr(cache, "_payload", original)
    assert answer() == 42
    loaded = engine.load_policy(str(policy))
    assert (loaded.name, loaded.decide(engine.Request.from_inputs({"n": 4})).output) == ("doubled", 8)


@pytest.mark.parametrize("change", ["key", "engine", "policy", "named", "reads"])
def test_what_was_made_for_something_else_is_not_used(
    kept: Path, answer: Callable[[], int], compiled: list[str], monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    original = cache._payload

    def payload(*given: object) -> bytes | None:
        whole = original(*given)  # type: ignore[arg-type]
        assert whole is not None
        return marshal.dumps({**marshal.loads(whole), change: "another"})

    monkeypatch.setattr(cache, "_payload", payload)
    answer()
    monkeypatch.setattr(cache, "_payload", original)
    assert (answer(), answer(), compiled) == (42, 42, ["doubled", "doubled"])


@pytest.mark.slow
def test_damage_anywhere_is_noticed(kept: Path, answer: Callable[[], int], compiled: list[str]) -> None:
    answer()
    file = only(kept)
    whole = file.read_bytes()
    draw = random.Random(7)
    compiled.clear()
    for number in range(60):
        damaged = bytearray(whole)
        for _ in range(draw.randint(1, 4)):
            damaged[draw.randrange(len(damaged))] ^= 1 << draw.randrange(8)
        data = bytes(damaged) if number % 2 else whole[: draw.randrange(len(whole))]
        if data == whole:
            continue
        file.write_bytes(data)
        file.chmod(0o600)
        assert answer() == 42
    assert len(compiled) >= 59


class TestShipped:
    """Programs that came with the package."""

    @pytest.fixture
    def programs(self, kept: Path, policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        from engine.catalogs.store import Snapshot, Source
        from engine.fastpath.artifact import image
        from engine.plan import signatures

        folder = tmp_path / "programs"
        folder.mkdir()
        store = Snapshot()
        source = Source.of(str(policy), store)
        packed = cache.pack(image(compiler.compile_policy(source.read(), store, signatures())), source, store)
        assert packed is not None
        (folder / cache.shipped_name(policy.read_bytes())).write_bytes(packed)
        monkeypatch.setattr(cache, "packaged", lambda _: str(folder))
        return folder

    def test_it_is_used(self, programs: Path, answer: Callable[[], int], compiled: list[str]) -> None:
        assert (answer(), compiled) == (42, [])

    @pytest.mark.parametrize(
        "change", [as_link, as_fifo, as_zeros, as_folder, as_huge, as_writable, as_groups, cut, longer]
    )
    def test_not_if_others_write_it(
        self, programs: Path, answer: Callable[[], int], compiled: list[str], change: Callable[[Path], None]
    ) -> None:
        change(only(programs))
        assert (answer(), compiled) == (42, ["doubled"])

    def test_it_does_not_answer_for_another(
        self, programs: Path, policy: Path, answer: Callable[[], int]
    ) -> None:
        policy.write_text(TRIPLED)
        only(programs).rename(programs / cache.shipped_name(policy.read_bytes()))
        assert answer() == 63

    def test_it_is_no_users_program(
        self, programs: Path, kept: Path, answer: Callable[[], int], compiled: list[str]
    ) -> None:
        shipped = only(programs).read_bytes()
        only(programs).unlink()
        answer()
        only(kept).write_bytes(shipped)
        assert (answer(), compiled) == (42, ["doubled", "doubled"])


ASK = """
import sys, engine
for _ in range(int(sys.argv[2])):
    found = engine.load_policy(sys.argv[1]).decide(engine.Request.from_inputs({"n": 21})).output
    assert found == 42, found
print("done")
"""


def asking(policy: Path, times: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", ASK, str(policy), str(times)]
    return subprocess.Popen(command, cwd=TOP, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_many_processes_share_it(kept: Path, policy: Path, tmp_path: Path) -> None:
    """While somebody deletes from it, secret and all."""
    running = [asking(policy, 30) for _ in range(6)]
    while any(process.poll() is None for process in running):
        for file in [*kept.glob("*"), secret(tmp_path)]:
            file.unlink(missing_ok=True)
        shutil.rmtree(kept, ignore_errors=True)
        time.sleep(0.02)
    for process in running:
        out, err = process.communicate()
        assert (process.returncode, out, err) == (0, "done\n", "")
    assert not list(kept.glob("*.part"))


@pytest.mark.slow
def test_a_writer_that_is_killed_leaves_no_half_program(kept: Path, policy: Path) -> None:
    draw = random.Random(3)
    for _ in range(6):
        process = asking(policy, 10_000)
        shutil.rmtree(kept, ignore_errors=True)
        time.sleep(draw.uniform(0.2, 0.6))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        whole = asking(policy, 2)
        assert whole.communicate() == ("done\n", "")


def test_what_killed_writers_left_goes(kept: Path, answer: Callable[[], int]) -> None:
    kept.mkdir(mode=0o700)
    for name, age in (("a.program.1.part", 7200), ("b.program.2.part", 60)):
        (kept / name).touch()
        os.utime(kept / name, (time.time() - age, time.time() - age))
    answer()
    assert [each.name for each in kept.glob("*.part")] == ["b.program.2.part"]


@pytest.mark.parametrize("fails", ["open", "write", "replace", "scandir", "mkdir", "urandom"])
def test_whatever_fails_there_is_an_answer(
    kept: Path, answer: Callable[[], int], monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    class Full:
        """The operating system, with a full disk."""

        def __getattr__(self, name: str) -> object:
            def fail(*_: object, **__: object) -> None:
                raise OSError(28, "No space left on device")

            original = getattr(os, name)
            if name != fails:
                return original
            if name == "open":
                return lambda path, flags, *mode: fail() if mode else original(path, flags)
            return fail

        def fdopen(self, descriptor: int, mode: str) -> object:
            return open("/dev/full", "wb") if fails == "write" else os.fdopen(descriptor, mode)

    monkeypatch.setattr(guarded, "os", Full())
    monkeypatch.setattr(cache, "os", Full())
    assert answer() == 42
    if fails != "scandir":
        assert not list(kept.glob("*"))


def test_more_than_a_cache_holds_is_not_kept(
    kept: Path, answer: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "_MOST_BYTES", 100)
    assert answer() == 42
    assert not list(kept.iterdir())


@pytest.mark.slow
def test_no_home_no_cache(policy: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "HOME": "/proc/none", "ENGINE_CACHE": str(tmp_path / "cache")}
    environment.pop("XDG_STATE_HOME", None)
    command = [sys.executable, "-m", "engine.cli.main", "eval", "--policy", str(policy), "--input", "-"]
    ran = subprocess.run(
        [*command, "--format", "json"],
        input="n: 21",
        cwd=TOP,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert (ran.returncode, ran.stderr, json.loads(ran.stdout)["output"]) == (0, "", 42)
    assert not list(tmp_path.glob("cache/*"))
