# SPDX-License-Identifier: GPL-2.0-only
"""Whatever happens to a guest, it ends, leaves nothing behind, and the reason is told."""

from __future__ import annotations

import functools
import os
import pty
import re
import signal
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.backends.conftest import kernel_or_skip
from tests.backends.scenes import SHORT, TWO_NODES, victim_and_hog
from thplab.backends import vm
from thplab.backends.agent_command import agent_environment
from thplab.backends.errors import KernelRunError
from thplab.backends.guest import Guest
from thplab.backends.kernel_image import find_kernel
from thplab.backends.kernel_log import panic_of
from thplab.backends.kvm import KvmVerdict
from thplab.scenario.errors import InputError
from thplab.scenario.observation import Run
from thplab.scenario.steps.shrink import Shrink
from thplab.scenario.steps.wait import Wait
from thplab.scenario.toml_writer import scenario_toml

pytestmark = pytest.mark.vm

RUNNER = """
import sys
from pathlib import Path
from thplab.backends import vm
from thplab.scenario.loader import load
try:
    vm.run(load(sys.argv[2]), sys.argv[1])
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory for temporary files of its own, so that leftovers are seen."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


def guests_of(folder: Path) -> list[str]:
    """The processes whose command line or environment names the folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            text = (process / "cmdline").read_bytes()
        except OSError:
            continue
        if str(folder).encode() in text and process.name != str(os.getpid()):
            found.append(text.replace(b"\0", b" ").decode(errors="replace"))
    return found


def test_a_kernel_that_panics_at_boot_is_told(new_kernel: Path, tmp_path: Path) -> None:
    """The emulated topology's known warning is made fatal."""
    guest = Guest(find_kernel(str(new_kernel)), TWO_NODES, ("panic_on_warn=1",))
    end = guest.run(["true"], tmp_path, lambda: 0, 60.0)
    panic = panic_of(end.console)
    assert panic is not None
    assert "panic_on_warn" in panic
    assert end.stopped == ""
    assert guests_of(tmp_path) == []


def test_a_panic_ends_the_run_with_its_words_and_the_log(
    new_kernel: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(temporary.parent / "cache"))
    fragile = functools.partial(Guest, boot_options=("panic_on_warn=1",))
    monkeypatch.setattr(vm, "Guest", fragile)
    with pytest.raises(KernelRunError, match="the kernel panicked: Kernel panic") as caught:
        vm.run(SHORT, str(new_kernel))
    assert "topology_sane" in Path(caught.value.kernel_log).read_text(encoding="utf-8")
    assert list(temporary.iterdir()) == []


def test_a_guest_that_hangs_is_stopped(new_kernel: Path, tmp_path: Path) -> None:
    guest = Guest(find_kernel(str(new_kernel)), TWO_NODES)
    begun = time.monotonic()
    end = guest.run(["sleep", "1000"], tmp_path, lambda: 0, 15.0)
    assert "no progress for 15 s" in end.stopped
    assert time.monotonic() - begun < 40
    assert guests_of(tmp_path) == []


def test_an_agent_that_the_oom_killer_takes_is_told(
    new_kernel: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hog that may not be killed leaves the OOM killer nobody but the others."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(temporary.parent / "cache"))
    immortal = victim_and_hog("immortal", 0, 1, hog_score=-1000)
    short, killed, again = vm.run_each([SHORT, immortal, SHORT], str(new_kernel))
    assert isinstance(killed, KernelRunError)
    assert re.search(r"agent was killed or ended early.*OOM kill", str(killed))
    assert isinstance(short, Run)
    assert isinstance(again, Run), "the rest runs, in another boot"
    assert list(temporary.iterdir()) == []


def start_under_terminal(kernel: Path, scenario: Path, folder: Path) -> tuple[int, int]:
    """Run a scenario in a process that has a terminal; its process id and the terminal's master."""
    pid, master = pty.fork()
    if pid == 0:
        environment = os.environ | {"TMPDIR": str(folder)} | agent_environment()
        os.execve(  # noqa: S606 -- no shell is wanted
            sys.executable, [sys.executable, "-c", RUNNER, str(kernel), str(scenario)], environment
        )
    return pid, master


def wait_until(condition: Callable[[], bool], seconds: float) -> None:
    """Wait for a condition, or fail."""
    give_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.1)


@pytest.mark.parametrize("moment", ["boot", "run"])
def test_control_c_leaves_no_guest_no_files_and_a_sane_terminal(
    moment: str, new_kernel: Path, temporary: Path
) -> None:
    waiting = victim_and_hog("waiting", 1, 1, [Wait(seconds=600)], pressure=False)
    file = temporary.parent / "waiting.toml"
    file.write_text(scenario_toml(waiting), encoding="utf-8")
    pid, master = start_under_terminal(new_kernel, file, temporary)
    before = termios.tcgetattr(master)
    wait_until(lambda: any("qemu-system" in line for line in guests_of(temporary)), 30)
    if moment == "run":
        wait_until(lambda: bool(list(temporary.glob("*/facts.json"))), 60)
        time.sleep(2)
    os.write(master, b"\x03")
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 130
    assert termios.tcgetattr(master) == before
    os.close(master)
    assert guests_of(temporary) == []
    assert list(temporary.iterdir()) == []


def start_short(kernel: Path, folder: Path) -> subprocess.Popen[bytes]:
    """Run a short scenario in a process of its own."""
    file = folder.parent / "short.toml"
    file.write_text(scenario_toml(SHORT), encoding="utf-8")
    environment = os.environ | {"TMPDIR": str(folder)} | agent_environment()
    return subprocess.Popen([sys.executable, "-c", RUNNER, str(kernel), str(file)], env=environment)


def test_a_signal_to_end_leaves_no_guest(new_kernel: Path, temporary: Path) -> None:
    process = start_short(new_kernel, temporary)
    wait_until(lambda: any("qemu-system" in line for line in guests_of(temporary)), 30)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 130
    assert guests_of(temporary) == []
    assert list(temporary.iterdir()) == []


def test_a_thplab_that_is_killed_leaves_no_guest_and_no_files(
    new_kernel: Path, temporary: Path
) -> None:
    """SIGKILL: it cannot clean up itself."""
    process = start_short(new_kernel, temporary)
    wait_until(lambda: any("qemu-system" in line for line in guests_of(temporary)), 30)
    process.kill()
    process.wait(30)
    wait_until(lambda: guests_of(temporary) == [], 30)
    wait_until(lambda: list(temporary.iterdir()) == [], 10)


def test_a_guest_that_fails_under_kvm_is_emulated(
    new_kernel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where KVM let a trial through and then fails; where it works, the guest runs with it."""
    monkeypatch.setattr(
        "thplab.backends.guest.try_kvm", lambda _qemu, _kernel: KvmVerdict(True, "")
    )
    run = vm.run(SHORT, str(new_kernel))
    assert run.observations[-1].regions["victim.far"].nodes[1].huge == 2
    how = next(note for note in run.notes if "in QEMU" in note)
    assert how.endswith("KVM") or "a guest ended before the agent started" in how


def test_two_runs_at_once_do_not_meet(kernel: Path, temporary: Path) -> None:
    runs: list[Run] = []
    threads = [
        threading.Thread(target=lambda: runs.append(vm.run(SHORT, str(kernel)))) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    first, second = (run.observations[-1] for run in runs)
    assert first.regions == second.regions
    assert list(temporary.iterdir()) == []


def test_a_kernel_without_shrinker_debug_says_what_it_cannot_show() -> None:
    """Debian's own: the design is still found, the queue lengths are not there, the rest is."""
    kernel_or_skip("bzImage-list_lru")  # the programs
    try:
        find_kernel("debian:6.12")
    except InputError as error:
        pytest.skip(f"Debian's kernel cannot be had here: {error}")
    scans = [Shrink(cgroup="/victim", node=0, count=1)]
    scanned = victim_and_hog("scanned", 1, 2, scans, pressure=False)
    plain, unscanned = vm.run_each([SHORT, scanned], "debian:6.12")
    assert isinstance(plain, Run)
    assert isinstance(unscanned, Run)
    after = plain.observations[-1]
    assert plain.design == "split_queue"
    assert after.regions["victim.far"].nodes[1].huge == 2
    assert after.cgroups["/victim"][0].queue is None
    assert "CONFIG_SHRINKER_DEBUG" in after.missing["cgroups.queue"]
    assert "not done" in unscanned.outcomes[0].text
    blind = unscanned.observations[-1]
    assert blind.regions["victim.far"].nodes[1].huge is None
    assert "CONFIG_SHRINKER_DEBUG" in blind.missing["regions"]


@pytest.mark.parametrize(
    ("release", "design"),
    [("6.18", "split_queue"), ("7.1", "split_queue_reparented"), ("7.3", "list_lru")],
)
def test_a_debian_kernel_of_any_layout_boots(release: str, design: str) -> None:
    """All in one package, without modules over virtiofs, and with the modules apart."""
    kernel_or_skip("bzImage-list_lru")  # the programs
    try:
        find_kernel(f"debian:{release}")
        run = vm.run(SHORT, f"debian:{release}")
    except InputError as error:
        pytest.skip(f"Debian's kernel cannot be had here: {error}")
    assert run.kernel.startswith(f"{release}.")
    assert run.release.design == design
    assert run.observations[-1].regions["victim.far"].nodes[1].huge == 2
    assert not [note for note in run.notes if "other processes had" in note]
    assert run.warnings == []
