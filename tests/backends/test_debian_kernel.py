# SPDX-License-Identifier: GPL-2.0-only
"""Debian's kernels by release: which suite they come from, which packages, and what happens when apt fails."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.backends.scenes import SHORT
from thplab.backends import apt, virtiofsd
from thplab.backends.debian_kernel import (
    cached_kernels,
    fetch_debian_kernel,
    has_modules,
    known_kernels,
    newest_kernel,
)
from thplab.backends.guest import Guest
from thplab.backends.kernel_image import find_kernel
from thplab.cli import main
from thplab.scenario.errors import InputError

HOST = "linux-image-6.12.9+deb12-amd64 linux-image-6.12.117+deb12-amd64 linux-image-6.1.0-56-amd64"
BACKPORTS = (
    "linux-image-6.18.15+deb13-amd64 "
    "linux-image-7.1.13+deb13-amd64 linux-binary-7.1.13+deb13-amd64 "
    "linux-image-7.3.4+deb13-amd64 linux-binary-7.3.4+deb13-amd64 linux-modules-7.3.4+deb13-amd64 "
    "linux-binary-7.3.4+deb13-rt-amd64"
)
SID = "linux-binary-7.4.1+deb14-amd64 linux-modules-7.4.1+deb14-amd64"

APT_CACHE = """
case "$*" in
*/trixie-backports/*) list=trixie-backports ;; */sid/*) list=sid ;; */apt/*) list=other ;; *) list=host ;;
esac
cat "$ROOT/$list" 2>/dev/null || true
"""
APT_GET = """
echo "$*" >> "$ROOT/calls"
case "$*" in
*indextargets*) echo "Debian http://mirror.example/debian/" ;;
*update) if [ -e "$ROOT/down" ]; then echo "W: it timed out" >&2; echo "E: cannot reach it" >&2; exit 100; fi ;;
*download*) [ ! -e "$ROOT/down" ] || { echo "E: 404 not found" >&2; exit 100; }
    for word in "$@"; do case "$word" in linux-*|virtiofsd) : > "$word.deb" ;; esac; done ;;
esac
"""
DPKG_DEB = """
tree=$3; name=$(basename "$2" .deb); part=${name%%-[0-9]*}; release=${name#linux-*-}
case "$part:$release" in
linux-image:6.1[28]*) image=$tree/boot/vmlinuz-$release ;;
linux-binary:7.1*) image=$tree/boot/vmlinuz-$release ;;
linux-binary:*) image=$tree/usr/lib/modules/$release/vmlinuz ;;
virtiofsd:*) mkdir -p "$tree/usr/lib64" "$tree/usr/libexec"; cp "$ROOT/loader" "$tree/usr/lib64/ld-linux-x86-64.so.2" ;;
*) image= ;;
esac
if [ -n "$image" ]; then mkdir -p "$(dirname "$image")"; : > "$image"; fi
case "$part:$release" in
linux-image:6.12*) mkdir -p "$tree/lib/modules/$release/kernel" ;;
linux-image:6.18*|linux-modules:*) mkdir -p "$tree/usr/lib/modules/$release/kernel" ;;
esac
"""
DEPMOD = (
    '[ -d "$3/lib/modules/$4/kernel" ] && [ -d "$3/usr/lib/modules/$4" ] && : > "$ROOT/depmod-$4"'
)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host whose apt has 6.12, a mirror with 6.18 to 7.3 in a suite, and an empty cache."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name, script in (
        ("apt-cache", APT_CACHE),
        ("apt-get", APT_GET),
        ("dpkg-deb", DPKG_DEB),
        ("depmod", DEPMOD),
        ("busybox", ""),
    ):
        path = tools / name
        path.write_text(f"#!/bin/sh\nset -e\n{script}\n", encoding="ascii")
        path.chmod(0o755)
    (tmp_path / "host").write_text(HOST, encoding="ascii")
    (tmp_path / "trixie-backports").write_text(BACKPORTS, encoding="ascii")
    (tmp_path / "sid").write_text(SID, encoding="ascii")
    (tmp_path / "keyring").touch()
    monkeypatch.setenv("ROOT", str(tmp_path))
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}/usr/bin{os.pathsep}/bin")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("sys.executable", str(tools / "python"))
    monkeypatch.setattr(apt, "_KEYRING", tmp_path / "keyring")
    apt._mirror.cache_clear()
    return tmp_path


def calls(root: Path, what: str) -> list[str]:
    """The calls of apt-get with this word."""
    lines = (root / "calls").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if what in line]


def tree_of(image: Path) -> str:
    """The image below the folder of unpacked kernels."""
    kernels = next(parent for parent in image.parents if parent.name == "kernels")
    return str(image.relative_to(kernels))


def test_what_the_hosts_apt_has_comes_from_there_and_nothing_else_is_fetched(root: Path) -> None:
    image = fetch_debian_kernel("6.12")
    kernel = "6.12.117+deb12-amd64"
    assert tree_of(image) == f"linux-image-{kernel}/boot/vmlinuz-{kernel}"
    assert has_modules(image)
    assert calls(root, "update") == []
    assert (root / f"depmod-{kernel}").exists()
    assert fetch_debian_kernel("6.12") == image
    assert len(calls(root, "download")) == 1, "the cache has it"


@pytest.mark.parametrize(
    ("release", "image", "packages"),
    [
        ("6.18", "boot/vmlinuz-6.18.15+deb13-amd64", ["image-6.18.15"]),
        ("7.3", "lib/modules/7.3.4+deb13-amd64/vmlinuz", ["binary-7.3.4", "modules-7.3.4"]),
    ],
)
def test_a_suite_of_its_own_has_newer_releases(
    release: str, image: str, packages: list[str], root: Path
) -> None:
    found = fetch_debian_kernel(release)
    assert tree_of(found).partition("/")[2] == image
    assert has_modules(found)
    (update,) = calls(root, "update")
    assert "trixie-backports" in update
    (download,) = calls(root, "download")
    assert download.endswith(" ".join(f"linux-{name}+deb13-amd64" for name in packages))
    source = root / "cache/thplab/apt/trixie-backports/sources.list"
    assert source.read_text(encoding="utf-8") == (
        f"deb [arch=amd64 signed-by={root / 'keyring'}] http://mirror.example/debian/"
        " trixie-backports main\n"
    )
    fetch_debian_kernel(release)
    assert len(calls(root, "update")) == 1, "its list is here"


def test_every_setting_of_apt_points_into_the_cache(root: Path) -> None:
    """The host's lists, sources and packages stay as they are."""
    fetch_debian_kernel("7.3")
    for call in (*calls(root, "update"), *calls(root, "download")):
        for name in ("Dir::State", "Dir::State::lists", "Dir::State::status", "Dir::Cache"):
            assert f"-o {name}={root}/cache/thplab/apt/trixie-backports/" in call
        assert "-o Dir::Etc::sourceparts=/dev/null" in call


def test_a_kernel_whose_modules_are_gone_is_unpacked_without_them(root: Path) -> None:
    image = fetch_debian_kernel("7.1")
    assert not has_modules(image)
    assert calls(root, "download")[0].endswith(" linux-binary-7.1.13+deb13-amd64")
    assert has_modules(Path("/boot/vmlinuz")), (
        "of an image that is not in the cache nothing is known"
    )


def test_a_later_suite_is_fetched_only_if_no_earlier_one_has_the_release(root: Path) -> None:
    fetch_debian_kernel("7.4")
    suites = [next(s for s in apt.SUITES if f"/{s}/" in call) for call in calls(root, "update")]
    assert suites == list(apt.SUITES)


def test_a_suite_that_apt_cannot_reach_is_told_and_the_cache_will_do(root: Path) -> None:
    image = fetch_debian_kernel("7.3")
    (root / "down").touch()
    assert fetch_debian_kernel("7.3") == image
    (root / "trixie-backports").write_text(BACKPORTS.replace("7.3.4", "7.3.5"), encoding="ascii")
    assert fetch_debian_kernel("7.3") == image, "the newer one cannot be downloaded"
    with pytest.raises(InputError) as caught:
        fetch_debian_kernel("6.18")
    text = str(caught.value)
    assert text.startswith(
        "debian:6.18: no kernel of that release in this host's apt; apt could not"
    )
    assert "from trixie-backports, trixie, " in text
    assert "sid: apt-get: E: 404 not found" in text
    assert list((root / "cache/thplab/kernels").glob("fetch-*")) == []


def test_without_debians_keys_nothing_is_fetched(root: Path) -> None:
    (root / "keyring").unlink()
    with pytest.raises(InputError, match=r"install Debian's package debian-archive-keyring"):
        fetch_debian_kernel("7.3")


def test_without_a_mirror_of_debian_the_remedy_is_told(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = (root / "bin/apt-get").read_text(encoding="ascii")
    ubuntu = script.replace(
        "Debian http://mirror.example/debian/", "Ubuntu http://x.example/ubuntu/"
    )
    (root / "bin/apt-get").write_text(ubuntu, encoding="ascii")
    with pytest.raises(InputError, match=r"no mirror of Debian among its sources"):
        fetch_debian_kernel("7.3")
    apt._mirror.cache_clear()
    unlabelled = script.replace("Debian http://mirror.example", "$(LABEL) http://mirror.example")
    (root / "bin/apt-get").write_text(unlabelled.replace("$(L", "\\$(L"), encoding="ascii")
    assert fetch_debian_kernel("7.3").name == "vmlinuz", "before apt's first update it has no label"
    del monkeypatch


def test_what_there_is_can_be_listed(root: Path) -> None:
    (root / "trixie-backports").write_text(f"{BACKPORTS} {HOST.replace('117', '118')}")
    assert set(known_kernels()) == {"6.1", "6.12"}
    fetch_debian_kernel("7.3")
    assert known_kernels() == {
        "6.1": ("6.1.0-56-amd64", "this host's apt"),
        "6.12": ("6.12.117+deb12-amd64", "this host's apt"),
        "6.18": ("6.18.15+deb13-amd64", "trixie-backports"),
        "7.1": ("7.1.13+deb13-amd64", "trixie-backports"),
        "7.3": ("7.3.4+deb13-amd64", "trixie-backports"),
    }
    assert list(cached_kernels()) == ["7.3"]
    del root


def daemon(path: Path, says: str) -> Path:
    """A program that says this of its version."""
    path.write_text(f"#!/bin/sh\necho '{says}'\n", encoding="ascii")
    path.chmod(0o755)
    return path


@pytest.fixture
def guest_programs(root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a guest takes, and a host without a virtiofsd."""
    for name in ("qemu-system-x86_64", "file"):
        daemon(root / "bin" / name, "")
    vng = root / "bin/vng"
    vng.write_text('#!/bin/sh\necho "$@"; virtiofsd --version\n', encoding="ascii")
    vng.chmod(0o755)
    monkeypatch.setattr(virtiofsd, "_PLACES", ())
    return root


def boot(kernel: str, work: Path) -> str:
    """What vng gets to see, and which virtiofsd it finds."""
    work.mkdir()
    guest = Guest(find_kernel(kernel), SHORT.host)
    guest.give_up_kvm("not here")
    return guest.run(["true"], work, lambda: 0, 30.0).console


def test_a_kernel_without_modules_boots_over_virtiofs(guest_programs: Path, tmp_path: Path) -> None:
    daemon(guest_programs / "bin/virtiofsd", "virtiofsd 1.13.2")
    old = boot("debian:6.12", tmp_path / "old")
    assert "--force-9p" in old
    assert "--append transparent_hugepage=never" in old, "a Debian kernel has them always"
    assert "rcu_cpu_stall_timeout=120" in old, "a busy host is no stall of an emulated CPU"
    console = boot("debian:7.1", tmp_path / "new")
    assert "--force-9p" not in console
    assert console.endswith("virtiofsd 1.13.2\n")


def test_qemus_old_virtiofsd_does_not_do_and_debians_is_unpacked(
    guest_programs: Path, tmp_path: Path
) -> None:
    daemon(guest_programs / "bin/virtiofsd", "virtiofsd version 7.2, the QEMU Project developers")
    daemon(guest_programs / "loader", "virtiofsd 1.13.3")
    console = boot("debian:7.1", tmp_path / "new")
    assert console.endswith("virtiofsd 1.13.3\n")
    assert "-o Dir::State=" in calls(guest_programs, "virtiofsd")[0]
    found = virtiofsd.find_virtiofsd()
    assert found is not None
    assert found.is_relative_to(tmp_path / "cache")


@pytest.mark.parametrize(
    ("prepare", "told"),
    [
        (lambda root: (root / "down").touch(), "cannot get it: apt-get: E: cannot reach it"),
        (lambda root: daemon(root / "loader", "QEMU"), "does not run on this host"),
    ],
)
def test_a_kernel_without_modules_and_without_virtiofsd_says_what_is_missing(
    prepare: Callable[[Path], object], told: str, guest_programs: Path, tmp_path: Path
) -> None:
    image = find_kernel("debian:7.1")
    prepare(guest_programs)
    with pytest.raises(InputError) as caught:
        Guest(image, SHORT.host)
    text = str(caught.value)
    assert text.startswith("debian:7.1: the package of its modules is no longer there")
    assert told in text
    assert list((tmp_path / "cache/thplab").glob("fetch-*")) == []


def test_the_newest_plain_kernel_is_taken() -> None:
    names = [
        f"linux-image-6.12.{rest}"
        for rest in (
            "9+deb12-amd64",
            "117+deb12-amd64",
            "117+deb12-rt-amd64",
            "118+deb12-cloud-amd64",
            "119+deb12-amd64-unsigned",
            "99+deb12-amd64",
        )
    ]
    assert newest_kernel(names, "6.12") == "6.12.117+deb12-amd64"
    assert newest_kernel(names, "6.1") is None


def test_a_release_that_no_suite_has_is_refused(root: Path) -> None:
    del root
    with pytest.raises(
        InputError, match=r"debian:5\.1: no kernel of that release in .*, sid; `thplab"
    ):
        fetch_debian_kernel("5.1")


def test_a_name_that_is_no_release_is_refused() -> None:
    with pytest.raises(InputError, match="a release has two numbers"):
        fetch_debian_kernel("bookworm")


def version_text(path: Path, linux: str) -> None:
    """A file with the boot header of a kernel image, whose version is this one."""
    head = bytearray(0x400)
    head[0x202:0x206] = b"HdrS"
    head[0x20E:0x210] = (0x100).to_bytes(2, "little")
    head[0x300:] = f"{linux} (somebody@somewhere) #1 SMP".encode().ljust(0x100, b"\0")
    path.write_bytes(head)


def test_the_verb_lists_images_the_cache_and_what_apt_has(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("THPLAB_KERNELS", str(root))
    version_text(root / "bzImage-mine", "7.3.4-mine")
    fetch_debian_kernel("7.1")
    assert main(["kernels", "--format", "json"]) == 0
    captured = capsys.readouterr()
    assert "not looked at: trixie, bookworm-backports" in captured.err
    found = json.loads(captured.out)
    assert found["format"] == "thplab kernels"
    assert [
        (one["kernel"], one["linux"], one["state"], one["over"]) for one in found["kernels"]
    ] == [
        (str(root / "bzImage-mine"), "7.3.4-mine", "image", ""),
        ("debian:6.1", "6.1.0-56-amd64", "apt", ""),
        ("debian:6.12", "6.12.117+deb12-amd64", "apt", ""),
        ("debian:6.18", "6.18.15+deb13-amd64", "apt", ""),
        ("debian:7.1", "", "cached", "virtiofs"),
        ("debian:7.1", "7.1.13+deb13-amd64", "apt", ""),
        ("debian:7.3", "7.3.4+deb13-amd64", "apt", ""),
    ]
    assert main(["kernels", "--fetch"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert "debian:7.4" in captured.out
    (line,) = [line for line in captured.out.splitlines() if "in the cache" in line]
    assert line.startswith("debian:7.1 ")


def test_a_suite_that_cannot_be_reached_does_not_keep_the_verb_from_listing_the_rest(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "down").touch()
    assert main(["kernels", "--fetch"]) == 2
    captured = capsys.readouterr()
    assert "debian:6.12" in captured.out
    assert "sid: apt-get: E: cannot reach it\n" in captured.err


def test_without_apt_the_verb_lists_what_is_here(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fetch_debian_kernel("6.12")
    (root / "bin/apt-cache").write_text("#!/bin/sh\necho 'E: broken' >&2; exit 100\n")
    assert main(["kernels"]) == 0
    captured = capsys.readouterr()
    assert captured.out.count("debian:") == 1
    assert "apt-cache: E: broken" in captured.err
