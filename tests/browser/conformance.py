"""Write the accessibility conformance notes: `python -m tests.browser.conformance > FILE`.

Each criterion of WCAG 2.2 A and AA names the tests of `test_access.py` and `test_walk.py` that show
it. A criterion that no test shows is not said to be supported. Sections are those of a VPAT.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

HERE: Final = Path(__file__).parent
FILES: Final = ("test_access.py", "test_walk.py")
Level = Literal["A", "AA"]

AXE: Final = "no_page_has_a_violation_that_a_machine_finds"
TITLES: Final = "every_page_has_a_title_of_its_own_and_the_dealers_name_it"
HEADERS: Final = "every_row_and_column_of_a_table_has_its_header"
ORDER: Final = "the_pages_stand_in_the_same_order_everywhere"
TARGETS: Final = "targets_are_large_enough_and_text_may_be_spread"
TWICE: Final = "at_twice_the_size_no_page_scrolls_sideways"
FOCUS: Final = "what_has_the_focus_shows_it_and_is_never_left_behind"
ESCAPE: Final = "escape_closes_what_was_opened_and_gives_the_focus_back"
COLOR: Final = "marks_are_told_apart_without_color"
WITHIN: Final = "no_mark_leaves_its_cell"
NARROW: Final = "a_phone_shows_the_sentences_of_a_family_over_the_whole_width"
DRAG: Final = "what_is_dragged_can_also_be_chosen"
FORM: Final = "a_fault_in_a_form_is_told_in_words_at_its_field_and_in_a_summary"
PASSWORD: Final = "a_password_may_be_pasted_and_filled_in"
KEYBOARD: Final = "the_keyboard_alone_reaches_a_decision"
SESSION: Final = "a_session_that_is_over_leads_back_to_where_one_was"
SCRIPTS: Final = "lists_and_dossiers_are_readable_without_scripts"
WEEK: Final = "a_week_from_signing_in_to_signing_out"
DECISION: Final = KEYBOARD


@dataclass(frozen=True)
class Criterion:
    """A success criterion, and what shows that it is met.

    Parameters
    ----------
    tests : tuple of str
        Without their ``test_``; none: nothing shows it.
    remark : str
        What a reader should know; why a criterion without a test does not apply.
    applies : bool
        Whether there is anything on the pages that it speaks of.
    """

    number: str
    name: str
    level: Level
    tests: tuple[str, ...] = ()
    remark: str = ""
    applies: bool = True

    @property
    def verdict(self) -> str:
        """What the notes say."""
        if not self.applies:
            return "Not applicable"
        return "Supports" if self.tests else "Not evaluated"


def _none(number: str, name: str, level: Level, why: str) -> Criterion:
    return Criterion(number, name, level, remark=why, applies=False)


_NO_MEDIA: Final = "No sound and no video."
CRITERIA: Final = (
    Criterion("1.1.1", "Non-text Content", "A", (AXE,),
              "Charts and maps have a text beside them or a table that says the same."),
    _none("1.2.1", "Audio-only and Video-only", "A", _NO_MEDIA),
    _none("1.2.2", "Captions (Prerecorded)", "A", _NO_MEDIA),
    _none("1.2.3", "Audio Description or Media Alternative", "A", _NO_MEDIA),
    _none("1.2.4", "Captions (Live)", "AA", _NO_MEDIA),
    _none("1.2.5", "Audio Description (Prerecorded)", "AA", _NO_MEDIA),
    Criterion("1.3.1", "Info and Relationships", "A", (AXE, HEADERS)),
    Criterion("1.3.2", "Meaningful Sequence", "A", (SCRIPTS, KEYBOARD)),
    Criterion("1.3.3", "Sensory Characteristics", "A", (COLOR,)),
    Criterion("1.3.4", "Orientation", "AA", (AXE,), "Tall and wide windows."),
    Criterion("1.3.5", "Identify Input Purpose", "AA", (PASSWORD,)),
    Criterion("1.4.1", "Use of Color", "A", (COLOR,)),
    _none("1.4.2", "Audio Control", "A", _NO_MEDIA),
    Criterion("1.4.3", "Contrast (Minimum)", "AA", (AXE,), "Light and dark."),
    Criterion("1.4.4", "Resize Text", "AA", (TWICE, AXE), "A window of 320 px is 400%."),
    Criterion("1.4.5", "Images of Text", "AA", (AXE,), "Letters in drawings are text."),
    Criterion("1.4.10", "Reflow", "AA", (AXE, TWICE, WITHIN, NARROW),
              "At 320 px no page scrolls sideways; wide "
              "tables and drawings, which may, scroll within themselves."),
    Criterion("1.4.11", "Non-text Contrast", "AA", (COLOR,),
              "Forced colors; the contrast of each chart's colors was looked at, not measured."),
    Criterion("1.4.12", "Text Spacing", "AA", (TARGETS,)),
    Criterion("1.4.13", "Content on Hover or Focus", "AA", (ESCAPE,),
              "Only the browser's own tooltips appear."),
    Criterion("2.1.1", "Keyboard", "A", (KEYBOARD, DRAG)),
    Criterion("2.1.2", "No Keyboard Trap", "A", (FOCUS, ESCAPE)),
    _none("2.1.4", "Character Key Shortcuts", "A", "There are none."),
    Criterion("2.2.1", "Timing Adjustable", "A", (SESSION,),
              "A session ends; what was typed is given back after signing in."),
    _none("2.2.2", "Pause, Stop, Hide", "A", "Nothing moves by itself."),
    _none("2.3.1", "Three Flashes or Below Threshold", "A", "Nothing flashes."),
    Criterion("2.4.1", "Bypass Blocks", "A", (KEYBOARD,), "Skip to the content."),
    Criterion("2.4.2", "Page Titled", "A", (TITLES,)),
    Criterion("2.4.3", "Focus Order", "A", (KEYBOARD, ESCAPE)),
    Criterion("2.4.4", "Link Purpose (In Context)", "A", (AXE,)),
    Criterion("2.4.5", "Multiple Ways", "AA", (ORDER, WEEK), "Navigation, search, map and lists."),
    Criterion("2.4.6", "Headings and Labels", "AA", (AXE, TITLES)),
    Criterion("2.4.7", "Focus Visible", "AA", (FOCUS,)),
    Criterion("2.4.11", "Focus Not Obscured (Minimum)", "AA", (FOCUS,), "Nothing floats above."),
    Criterion("2.5.1", "Pointer Gestures", "A", (DRAG,)),
    Criterion("2.5.2", "Pointer Cancellation", "A", (ESCAPE,)),
    Criterion("2.5.3", "Label in Name", "A", (AXE,)),
    _none("2.5.4", "Motion Actuation", "A", "Nothing is done by moving the device."),
    Criterion("2.5.7", "Dragging Movements", "AA", (DRAG,)),
    Criterion("2.5.8", "Target Size (Minimum)", "AA", (TARGETS,)),
    Criterion("3.1.1", "Language of Page", "A", (TITLES, AXE)),
    _none("3.1.2", "Language of Parts", "AA", "All is English but names."),
    Criterion("3.2.1", "On Focus", "A", (FOCUS,)),
    Criterion("3.2.2", "On Input", "A", (SCRIPTS,), "Nothing is sent before a button is pressed."),
    Criterion("3.2.3", "Consistent Navigation", "AA", (ORDER,)),
    Criterion("3.2.4", "Consistent Identification", "AA", (ORDER,)),
    _none("3.2.6", "Consistent Help", "A", "The pages offer no help desk; the agency's own does."),
    Criterion("3.3.1", "Error Identification", "A", (FORM,)),
    Criterion("3.3.2", "Labels or Instructions", "A", (AXE, FORM)),
    Criterion("3.3.3", "Error Suggestion", "AA", (FORM, WEEK)),
    Criterion("3.3.4", "Error Prevention (Legal, Financial, Data)", "AA", (WEEK,),
              "An outcome is checked on a page of its own before it is kept."),
    Criterion("3.3.7", "Redundant Entry", "A", (SESSION, WEEK)),
    Criterion("3.3.8", "Accessible Authentication (Minimum)", "AA", (PASSWORD,)),
    Criterion("4.1.2", "Name, Role, Value", "A", (AXE,)),
    Criterion("4.1.3", "Status Messages", "AA", (KEYBOARD, WEEK)),
)  # fmt: skip
# Section 508, chapter 3: who needs what, and which criteria above carry it.
PERFORMANCE: Final = (
    ("302.1", "Without Vision", ("1.1.1", "1.3.1", "2.4.2", "4.1.2"),
     "No screen reader was tried by hand."),
    ("302.2", "With Limited Vision", ("1.4.3", "1.4.4", "1.4.10", "1.4.12"), ""),
    ("302.3", "Without Perception of Color", ("1.4.1",), ""),
    ("302.4", "Without Hearing", (), "Nothing is heard."),
    ("302.7", "With Limited Manipulation", ("2.1.1", "2.5.7", "2.5.8"), ""),
    ("302.8", "With Limited Reach and Strength", ("2.1.1",), ""),
    ("302.9", "With Limited Language, Cognitive, and Learning Abilities",
     ("3.3.1", "3.3.3", "3.3.4", "3.3.7"), "Plain words; not tried with people."),
)  # fmt: skip


def known_tests() -> dict[str, str]:
    """Return the tests of the pages and the file of each, names without ``test_``."""
    return dict(_tests())


def _tests() -> Iterator[tuple[str, str]]:
    for file in FILES:
        for node in ast.parse((HERE / file).read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                yield node.name.removeprefix("test_"), file


def notes() -> str:
    """Return the notes as Markdown.

    Raises
    ------
    KeyError
        When a criterion names a test that is not there.
    """
    files, numbers = known_tests(), {}
    for one in CRITERIA:
        for test in one.tests:
            _ = files[test]
            numbers.setdefault(test, len(numbers) + 1)
    lines = [
        "# Accessibility",
        "",
        "<!-- Written by `python -m tests.browser.conformance`; a test holds it to the tests. -->",
        "",
        "Conformance notes for the pages, in the sections of a VPAT 2.5: WCAG 2.2 A and AA, and",
        "the functional performance criteria of Section 508. *Supports* means that the tests named",
        "show it in Chromium, on every kind of page, each time all tests run. No person with a",
        "disability and no screen reader has tried the pages: an agency's own evaluation comes",
        "before use.",
        "PDFs are tagged (PDF/UA-1) and are not part of these notes.",
        "",
    ]
    for level, title in (("A", "Table 1: level A"), ("AA", "Table 2: level AA")):
        lines += [f"## {title}", "", "| criterion | verdict | shown by | remark |"]
        lines += ["| --- | --- | --- | --- |"]
        for one in (c for c in CRITERIA if c.level == level):
            shown = ", ".join(f"[{numbers[test]}](#tests)" for test in dict.fromkeys(one.tests))
            lines.append(f"| {one.number} {one.name} | {one.verdict} | {shown} | {one.remark} |")
        lines.append("")
    lines += ["## Functional performance", "", "| criterion | rests on | remark |"]
    lines += ["| --- | --- | --- |"]
    lines += [f"| {n} {who} | {', '.join(on)} | {said} |" for n, who, on, said in PERFORMANCE]
    lines += ["", "## Tests", ""]
    lines += [
        f"{n}. {test.replace('_', ' ').capitalize()} (`{files[test]}`)"
        for test, n in numbers.items()
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(notes())
