# SPDX-License-Identifier: GPL-2.0-only
"""A guest: virtme-ng boots one kernel in QEMU, which runs one command and powers off."""

from __future__ import annotations

import contextlib
import os
import selectors
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from thplab.backends.guardian import guarded
from thplab.backends.kernel_image import KernelImage
from thplab.backends.kvm import try_kvm
from thplab.backends.signals import signals_interrupt
from thplab.scenario.errors import InputError
from thplab.scenario.host import Host

__all__ = ["GUEST_WORK", "Guest", "GuestEnd", "find_program", "memory_shortage"]

GUEST_WORK = "/run/thplab"
"""Where the guest sees the work directory, the only place of the host that it can write to."""

_QEMU = "qemu-system-x86_64"
_MIB = 1 << 20
_TICK_SECONDS = 0.2
_GRACE_SECONDS = 2.0
_SILENCE_SECONDS = 60.0
"""A kernel prints its first line within two seconds; a file that contains no kernel never prints one."""
_CLEAN_UP = 'kill -KILL -- "-$1"; rm -rf -- "$2"'
_ALWAYS = ("panic=-1", "transparent_hugepage=never")
"""A distribution's kernel has huge pages "always", and what runs in the guest before the agent would have some on
the queue, where reclaim splits them too. The agent sets what the scenario has."""
_LATE_STALLS = "rcupdate.rcu_cpu_stall_timeout=120"
"""An emulated CPU may wait half a minute for one of a busy host. The kernel reports 21 s as a stall, and thplab what
it reports as a difference. A guest that hangs is stopped after TIME_LIMITS."""
_BOOT_OPTIONS = {
    "on": (),
    "nokmem": ("cgroup.memory=nokmem",),
    "disabled": ("cgroup_disable=memory",),
}


def find_program(name: str) -> str | None:
    """A program beside this Python or on PATH."""
    beside = str(Path(sys.executable).parent)
    return shutil.which(name, path=f"{beside}{os.pathsep}{os.environ.get('PATH', os.defpath)}")


class GuestEnd:
    """How a guest ended.

    Attributes:
        status: of vng: that of the command, or 255 if the guest did not end by itself.
        console: the kernel's log, and the output of the command.
        accelerator: "kvm" or "tcg".
        stopped: why thplab killed it, or "".
    """

    def __init__(self, status: int, console: str, accelerator: str, stopped: str) -> None:
        self.status = status
        self.console = console
        self.accelerator = accelerator
        self.stopped = stopped


class Guest:
    """A kernel, with the nodes of a scenario's host.

    Args:
        image: the kernel to boot.
        host: its nodes, their distances, and its memory controller.
        boot_options: more words for the kernel's command line.

    Raises:
        InputError: QEMU or vng is missing, or this host has too little memory.
    """

    def __init__(self, image: KernelImage, host: Host, boot_options: tuple[str, ...] = ()) -> None:
        self.image = image
        self._boot_options = boot_options
        self._no_kvm = ""
        self.host = host
        self._qemu = _required(_QEMU, "install QEMU (on Debian: apt install qemu-system-x86)")
        self._vng = _required("vng", "install virtme-ng (pip install 'thplab[vm]')")
        if find_program("file") is None and find_program("strings") is None:
            raise InputError("vng needs `file` to read a kernel's version; install file")
        shortage = memory_shortage(host)
        if shortage:
            raise InputError(shortage)
        self._virtiofsd = _virtiofsd_for(image) if image.lacks_9p else None

    def accelerator(self) -> tuple[str, str]:
        """How the guest will run, "kvm" or "tcg" (software emulation), and why not KVM."""
        if self._no_kvm:
            return "tcg", self._no_kvm
        verdict = try_kvm(self._qemu, self.image.path)
        return ("kvm", "") if verdict.works else ("tcg", verdict.reason)

    def give_up_kvm(self, reason: str) -> None:
        """Emulate the guest from now on."""
        self._no_kvm = reason

    def run(
        self,
        command: list[str],
        work: Path,
        progress: Callable[[], int],
        patience: float,
    ) -> GuestEnd:
        """Boot, run a command as root, and power off.

        If this process is killed before the guest ends, a guardian kills the guest and removes the work
        directory.

        Args:
            command: runs in the guest, which sees the host's files read-only.
            work: a directory of the host; the guest sees it as :data:`GUEST_WORK`, writable.
            progress: returns a number that grows while the guest makes progress.
            patience: seconds without progress after which thplab kills the guest.
        """
        accelerator, _reason = self.accelerator()
        private = work / ".vng"
        private.mkdir(exist_ok=True)
        programs = [Path(self._vng).parent, os.environ.get("PATH", os.defpath)]
        if self._virtiofsd is not None:
            programs.insert(0, self._virtiofsd.parent)
        environment = os.environ | {
            "PATH": os.pathsep.join(map(str, programs)),
            "TMPDIR": str(private),  # so that vng's files vanish with the work directory
            "HOME": str(private),
        }
        with signals_interrupt():
            process = subprocess.Popen(
                self._command_line(command, work, self._plain_path(private), accelerator),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )
            try:
                with guarded(_CLEAN_UP, str(process.pid), str(work)):
                    console, stopped = _watch(process, progress, patience)
            finally:
                _end_group(process)
        return GuestEnd(process.returncode, console, accelerator, stopped)

    def _plain_path(self, private: Path) -> Path:
        """A path of the image without characters that are special to a shell, because vng does not quote it."""
        if shlex.quote(str(self.image.path)) == str(self.image.path):
            return self.image.path
        link = private / "kernel"
        if not link.is_symlink():
            link.symlink_to(self.image.path)
        return link

    def _command_line(
        self, command: list[str], work: Path, kernel: Path, accelerator: str
    ) -> list[str]:
        nodes = self.host.nodes
        cpus = max(2, len(nodes))
        line = [self._vng, "--run", str(kernel), "--user", "root", "--cpus", str(cpus)]
        line += ["--memory", f"{sum(node // _MIB for node in nodes)}M"]
        for index, node in enumerate(nodes):
            here = f"0-{cpus - 1}" if len(nodes) == 1 else str(index)
            line += ["--numa", f"{node // _MIB}M,cpus={here}"]
        for source, row in enumerate(self.host.distances or ()):
            for target, distance in enumerate(row):
                if source != target:
                    line += ["--numa-distance", f"{source},{target}={distance}"]
        line += [] if self._virtiofsd is not None else ["--force-9p"]
        line += ["--verbose", "--disable-monitor"]
        line += ["--rwdir", f"{GUEST_WORK}={work}"]
        for option in (*_ALWAYS, *_BOOT_OPTIONS[self.host.memcg], *self._boot_options):
            line += ["--append", option]
        if accelerator == "tcg":
            line += ["--append", _LATE_STALLS]
            line += ["--disable-kvm", "--qemu-opts=-cpu max -accel tcg,thread=single"]
        return [*line, "-e", shlex.join(command)]


def _virtiofsd_for(image: KernelImage) -> Path:
    from thplab.backends.virtiofsd import fetch_virtiofsd

    try:
        return fetch_virtiofsd()
    except InputError as error:
        raise InputError(
            f"{image.name}: the package of its modules is no longer there, and without the module for 9p it "
            f"boots only over virtiofs; {error}"
        ) from error


def _required(name: str, remedy: str) -> str:
    path = find_program(name)
    if path is None:
        raise InputError(f"{name} is not installed; {remedy}")
    return path


def memory_shortage(host: Host) -> str:
    """Why this host has too little memory for a guest with the nodes of `host`, or ""."""
    needed = sum(host.nodes)
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:"):
            available = int(line.split()[1]) * 1024
            if needed > available:
                return (
                    f"the scenario's host has {needed // _MIB} MiB of memory, this one has "
                    f"{available // _MIB} MiB free; give the scenario smaller nodes, or use the model"
                )
    return ""


def _watch(
    process: subprocess.Popen[bytes], progress: Callable[[], int], patience: float
) -> tuple[str, str]:
    """Collect the console until the guest ends or makes no progress for too long."""
    assert process.stdout is not None
    pieces: list[bytes] = []
    stopped = ""
    reached = progress()
    begun = since = time.monotonic()
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while True:
            if selector.select(_TICK_SECONDS):
                piece = os.read(process.stdout.fileno(), 1 << 16)
                if not piece:
                    break
                pieces.append(piece)
            now = progress()
            if now != reached:
                reached, since = now, time.monotonic()
            elif time.monotonic() - since > patience:
                stopped = f"the guest made no progress for {patience:.0f} s, and thplab stopped it"
                break
            elif not pieces and time.monotonic() - begun > _SILENCE_SECONDS:
                stopped = (
                    f"the kernel said nothing in its first {_SILENCE_SECONDS:.0f} s, and thplab stopped "
                    "the guest; is this a kernel for this machine, with a serial console?"
                )
                break
    return b"".join(pieces).decode(errors="replace").replace("\r", ""), stopped


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """Kill vng and everything that it started, which have a process group of their own."""
    for number, seconds in ((signal.SIGTERM, _GRACE_SECONDS), (signal.SIGKILL, 10.0)):
        if process.poll() is None or _group_exists(process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)
        give_up = time.monotonic() + seconds
        while time.monotonic() < give_up:
            if process.poll() is not None and not _group_exists(process.pid):
                break
            time.sleep(0.02)
    if process.stdout is not None:
        process.stdout.close()


def _group_exists(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
