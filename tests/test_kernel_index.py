# SPDX-License-Identifier: GPL-2.0-only
"""The index of kernel functions: fresh, well formed, and looked for in a kernel's source as it should be."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import check_kernel_index
import kernel_index
from check_kernel_index import aside, is_defined
from kernel_index import DocstringError, rows, rows_of
from thplab.explorer.kernel_names import Source, names_of, source_of

MODULE = '"""Lists (mm/list_lru.c, 7.2)."""\n'


def function(docstring: str, name: str = "add") -> str:
    return f'def {name}():\n    """{docstring}"""\n'


def test_the_committed_page_is_fresh() -> None:
    assert kernel_index.PAGE.read_text(encoding="utf-8") == kernel_index.page(), (
        "run: python tools/kernel_index.py"
    )


def test_each_name_is_well_formed_and_stands_once_for_its_place() -> None:
    found = rows()
    assert len(found) > 200
    for row in found:
        assert re.fullmatch(r"[A-Za-z_]\w*\((2?)\)", row.name), row
        assert re.fullmatch(r"(mm|kernel|lib|fs|include|arch)/[\w/.-]+\.[ch]", row.source.file), row
    places = [(row.name, row.module, row.place) for row in found]
    assert len(set(places)) == len(places)


def test_a_name_has_one_file_in_one_release() -> None:
    files: dict[tuple[str, str], set[str]] = {}
    for row in rows():
        files.setdefault((row.name, row.source.release), set()).add(row.source.file)
    assert {name: found for name, found in files.items() if len(found) > 1} == {}


def test_each_docstring_that_begins_with_a_name_is_in_the_index() -> None:
    """Whatever form the beginning has: one that the grammar does not know would be lost in silence."""
    known = {(row.module, row.place) for row in rows()}
    for room in kernel_index.ROOMS:
        for path in sorted((kernel_index.SOURCE / room).glob("*.py")):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            for place, node in kernel_index.functions(tree.body):
                doc = ast.get_docstring(node) or ""
                if re.match(r"(Part of )?[A-Za-z_]\w*\(2?\)", doc):
                    assert (f"{room}/{path.name}", place) in known, doc


# The grammar of docstrings


@pytest.mark.parametrize(
    ("docstring", "names", "part", "source"),
    [
        ("list_lru_add(): to the tail.", ["list_lru_add()"], False, ("", "")),
        ("list_lru_add().", ["list_lru_add()"], False, ("", "")),
        ("rmdir(2) (fs/namei.c): it dies.", ["rmdir(2)"], False, ("fs/namei.c", "")),
        ("get(), put(): both.", ["get()", "put()"], False, ("", "")),
        ("lock() (6.19 to 7.1): dying.", ["lock()"], False, ("", "6.19 to 7.1")),
        ("lock() (mm/a.c, as posted).", ["lock()"], False, ("mm/a.c", "as posted")),
        ("Part of scan(): the loop.", ["scan()"], True, ("", "")),
    ],
)
def test_a_docstring_begins_with_the_kernels_names(
    docstring: str, names: list[str], part: bool, source: tuple[str, str]
) -> None:
    assert names_of(docstring) == (names, part, Source(*source))


@pytest.mark.parametrize(
    "docstring",
    [
        None,
        "",
        "The end of scan(): it stands for nothing.",
        "scan() of a list: a sentence about it.",
        "scan(), in a way",
        "rmdir(3): no system call.",
        "Whatever.",
    ],
)
def test_other_docstrings_stand_for_no_function(docstring: str | None) -> None:
    assert names_of(docstring) is None


def test_a_bracket_that_is_no_source_is_refused() -> None:
    with pytest.raises(ValueError, match="'see below', neither a kernel file nor a release"):
        names_of("scan() (see below): it.")
    with pytest.raises(DocstringError, match=r"mm/x.py: add: \(7\) has '7'"):
        list(rows_of(MODULE + function("scan() (7): it."), "mm/x.py"))


def test_the_modules_docstring_says_file_and_release_of_the_rest() -> None:
    text = MODULE + function("one(): it.") + function("two() (mm/b.c, 6.12 to 6.18).", "other")
    assert [(row.name, *row.source) for row in rows_of(text, "mm/x.py")] == [
        ("one()", "mm/list_lru.c", "7.2"),
        ("two()", "mm/b.c", "6.12 to 6.18"),
    ]
    assert source_of("Of two lines\n(mm/a.c,\n7.2), and more.") == ("mm/a.c", "7.2")
    assert source_of("No bracket of its own (7.2).") == ("", "")


def test_a_function_whose_file_nobody_says_is_refused() -> None:
    with pytest.raises(DocstringError, match=r"add stands for one\(\), and neither"):
        list(rows_of('"""Lists."""\n' + function("one(): it."), "mm/x.py"))


# The check against a kernel's source


@pytest.mark.parametrize(
    ("release", "why"),
    [
        ("7.2", ""),
        ("6.12", ""),
        ("7.3", "newer: 7.3"),
        ("10.0", "newer: 10.0"),
        ("6.12 to 6.18", "older: 6.12 to 6.18"),
        ("6.19 to 7.2", ""),
        ("as posted", "never released"),
    ],
)
def test_functions_of_other_releases_are_set_aside(release: str, why: str) -> None:
    assert aside(release, (7, 2)) == why


SOURCE = """
#define xa_for_each(xa, index, entry) \\
	for (;;)
FOLIO_FLAG(partially_mapped, FOLIO_SECOND_PAGE)
static inline void declared(int x);
SYSCALL_DEFINE1(rmdir, const char __user *, pathname)
{
	return called(pathname);
}
static __always_inline void spin_lock(spinlock_t *lock)
	__acquires(lock) __no_context_analysis
{
	if (asked(lock)) {
out:
		if (jumped(lock)) {
		}
	}
}
long
on_two_lines(int a, int b)
{
}
"""


@pytest.mark.parametrize(
    ("name", "defined"),
    [
        ("xa_for_each()", True),
        ("folio_set_partially_mapped()", True),
        ("folio_set_mapped()", False),
        ("rmdir(2)", True),
        ("rmdir()", False),
        ("spin_lock()", True),
        ("lock()", False),
        ("on_two_lines()", True),
        ("declared()", False),
        ("called()", False),
        ("asked()", False),
        ("jumped()", False),
    ],
)
def test_a_definition_is_told_from_a_use(name: str, defined: bool) -> None:
    assert is_defined(name, SOURCE) is defined


def make_tree(folder: Path, text: str) -> Path:
    (folder / "mm").mkdir()
    (folder / "Makefile").write_text("VERSION = 7\nPATCHLEVEL = 2\nSUBLEVEL = 1\n")
    (folder / "mm" / "list_lru.c").write_text(text)
    return folder


def test_a_missing_function_is_named_with_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = MODULE + function("one(): it.") + function("two(): it.", "other")
    text += function("three() (mm/a.c): it.", "third") + function("four() (7.3).", "fourth")
    monkeypatch.setattr(check_kernel_index, "rows", lambda: list(rows_of(text, "mm/x.py")))
    tree = make_tree(tmp_path, "void one(void)\n{\n}\n")
    assert check_kernel_index.main([str(tree)]) == check_kernel_index.MISSING
    assert capsys.readouterr().out.splitlines() == [
        "mm/x.py: other stands for two(), but mm/list_lru.c does not define it",
        "mm/x.py: third stands for three(), but mm/a.c is not in the tree",
        "7.2: 3 names looked for, 2 not there",
        "set aside, newer: 7.3: 1",
    ]


def test_without_a_tree_the_check_says_why_it_is_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(check_kernel_index.VARIABLE, raising=False)
    assert check_kernel_index.main([]) == check_kernel_index.SKIPPED
    assert "set THPLAB_LINUX_SOURCE" in capsys.readouterr().out
    monkeypatch.setenv(check_kernel_index.VARIABLE, str(tmp_path))
    assert check_kernel_index.main([]) == check_kernel_index.NO_TREE
    assert "is not the source of a kernel" in capsys.readouterr().err
