# SPDX-License-Identifier: GPL-2.0-only
"""What a trace calls a function: the kernel's name of it, or nothing."""

from __future__ import annotations

import sys

from thplab.explorer.trace import functions_of, kernel_name


def here() -> str | None:
    return kernel_name(sys._getframe(1))


class Queue:
    """Methods that stand for kernel functions, and such as do not."""

    def enqueue(self) -> str | None:
        """deferred_split_folio(): queue it."""
        return here()

    def both(self) -> str | None:
        """folio_put(), folio_put_refs(): the first counts."""
        return here()

    def remove(self) -> str | None:
        """rmdir(2) (fs/namei.c): a system call."""
        return here()

    def piece(self) -> str | None:
        """Part of deferred_split_scan(): no name of its own."""
        return here()

    def mention(self) -> str | None:
        """The bit is set, see set_shrinker_bit()."""
        return here()

    def bare(self) -> str | None:
        return here()


class Mutant(Queue):
    """Overrides what has a name."""

    def enqueue(self) -> str | None:
        """Without the lock."""
        return here()

    def remove(self) -> str | None:
        """kill_css(): a name of its own."""
        return here()


def test_a_function_has_the_name_that_its_docstring_begins_with() -> None:
    queue = Queue()
    assert queue.enqueue() == "deferred_split_folio()"
    assert queue.both() == "folio_put()"
    assert queue.remove() == "rmdir(2)"


def test_other_functions_have_none() -> None:
    queue = Queue()
    assert (queue.piece(), queue.mention(), queue.bare()) == (None, None, None)


def test_a_method_that_says_nothing_has_the_name_of_what_it_overrides() -> None:
    assert Mutant().enqueue() == "deferred_split_folio()"
    assert Mutant().remove() == "kill_css()"
    assert Mutant().piece() is None


def test_a_stack_shows_named_functions_alone() -> None:
    def inner() -> tuple[str, ...]:
        """zap_pmd_range(): inner."""
        return functions_of(sys._getframe())

    def between() -> tuple[str, ...]:
        return inner()

    def outer() -> tuple[str, ...]:
        """munmap(2): outer."""
        return between()

    assert outer() == ("munmap(2)", "zap_pmd_range()")
