# SPDX-License-Identifier: GPL-2.0-only
"""The scenario library as pages: what a file says is shown as it says it, whatever that is."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

import library_pages
from thplab.scenario.library import library_files

ODD = [
    "a | b \\| c \\",
    "`code` ``two`` ```",
    "```\n# not a heading\n~~~",
    "<script>alert(1)</script> <!-- x --> &lt;",
    "{role}`x` [link](http://x) ![picture](y) $x$ *a* _b_ **c** ~~d~~",
    "1. not a list\n- nor this\n> nor that\n| a | b |\n|---|---|",
    "  spaces at both ends  ",
    "`",
    "(target)=\n% a comment\n+++\n:::{note}\n@x ^y",
]


def parsed(text: str) -> list[Token]:
    """The tokens of a page, without the lines they stand on."""
    return MarkdownIt("commonmark").enable("table").parse(text)


def shape(tokens: list[Token]) -> list[str]:
    """The kinds of the tokens, inline ones too: what the page is made of."""
    return [
        kind
        for token in tokens
        for kind in (token.type, *(child.type for child in token.children or ()))
    ]


def words(tokens: list[Token]) -> list[str]:
    """What a reader sees, inline element by inline element, without spaces."""
    return [
        "".join("".join(child.content for child in token.children or ()).split())
        for token in tokens
        if token.type == "inline"
    ]


def scenario(odd: str) -> str:
    """A scenario in which all free text is `odd`."""
    text = json.dumps(odd)
    return f"""
name = {text}
summary = {text}
[[steps]]
do = "map"
{text} = {text}
list = [{text}, 1]
[[claims]]
at = {text}
since = {text}
value = {text}
expect = {{ {text} = {text} }}
why = {text}
"""


@pytest.mark.parametrize("odd", ODD)
def test_odd_text_is_shown_and_changes_nothing_else(odd: str) -> None:
    odd_page = parsed(library_pages.scenario_page("name", scenario(odd)))
    calm_page = parsed(library_pages.scenario_page("name", scenario("calm")))
    assert shape(odd_page) == shape(calm_page)
    for shown, calm in zip(words(odd_page), words(calm_page), strict=True):
        asked = calm.replace('"calm"', json.dumps(odd)).replace("calm", odd)
        assert shown == "".join(asked.split())


def test_empty_text_leaves_no_marks() -> None:
    assert "**" not in "".join(words(parsed(library_pages.scenario_page("name", scenario("")))))


@pytest.mark.parametrize("odd", ODD)
def test_the_file_is_shown_as_it_is(odd: str) -> None:
    text = scenario("calm") + "".join(f"# {line}\n" for line in odd.splitlines())
    fences = [
        token
        for token in parsed(library_pages.scenario_page("name", text))
        if token.type == "fence" and token.info == "toml"
    ]
    assert [fence.content.strip() for fence in fences] == [text.strip()]


def test_the_question_is_the_comment_that_a_file_begins_with() -> None:
    text = "# One\n# paragraph.\n#\n# Another *one*.\n\n# Not this.\n"
    assert library_pages.question(text) == "One paragraph\\.\n\nAnother \\*one\\*\\."
    assert library_pages.question("name = 1\n# late\n") == ""


@pytest.mark.parametrize("path", library_files(), ids=lambda path: path.stem)
def test_a_page_has_each_step_and_claim_of_its_file(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    page = library_pages.scenario_page("name", text)
    kinds = shape(parsed(page))
    file = tomllib.loads(text)
    assert kinds.count("list_item_open") == len(file["steps"])
    assert kinds.count("tr_open") == (len(file["claims"]) + 1 if "claims" in file else 0)


def test_the_index_links_to_each_scenario() -> None:
    page = library_pages.index_page({"one": "What is | this?", "two": "And this?"})
    links = [
        child.attrs["href"]
        for token in parsed(page)
        for child in token.children or ()
        if child.type == "link_open"
    ]
    assert links == ["one.md", "two.md"]
    assert "one\ntwo\n```" in page
