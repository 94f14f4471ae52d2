"""Output for a terminal as HTML: colors become classes, and content never becomes markup."""

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prunner_trio.http.pages.ansi import PLAIN, Pen, last_state, nearest, paint, visible

ESC = "\x1b"


class Seen(HTMLParser):
    """What a browser sees: tags with their attributes, and text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.other: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data) -> None:
        self.text += data

    def handle_comment(self, data) -> None:
        self.other.append(data)

    handle_decl = handle_pi = unknown_decl = handle_comment


def classes(line: str) -> list[str]:
    return [str(found.get("class")) for _, found in Seen(paint(line)[0]).tags]


LOOKS = {
    "one of 16": ("31", "f1"),
    "a bright one": ("94", "f12"),
    "a ground": ("42", "on b2"),
    "a bright ground": ("107", "on b15"),
    "one of 256": ("38;5;208", "f208"),
    "one of 256 with colons": ("38:5:208", "f208"),
    "a ground of 256": ("48;5;17", "on b17"),
    "true color": ("38;2;255;0;0", "f196"),
    "true color with colons": ("38:2:255:0:0", "f196"),
    "true color with a color space": ("38:2::255:0:0", "f196"),
    "a true gray": ("48;2;100;100;100", "on b241"),
    "bold": ("1", "bold"),
    "all at once": ("1;2;3;4;7;9;33;44", "bold dim italic underline strike inverse f3 on b4"),
    "more after 256": ("38;5;1;4", "underline f1"),
    "the color of underlines counts for nothing": ("58;5;1;31", "f1"),
    "unknown numbers count for nothing": ("31;999;73", "f1"),
    "an underline in a style": ("4:3", "underline"),
}


@pytest.mark.parametrize("name", LOOKS)
def test_a_look_becomes_classes(name) -> None:
    numbers, wanted = LOOKS[name]
    assert classes(f"{ESC}[{numbers}mtext") == [wanted]


ENDS = {
    "all": ("1;31;42", "0", PLAIN),
    "all, by nothing": ("1;31;42", "", PLAIN),
    "bold and dim": ("1;2;3", "22", Pen(italic=True)),
    "the color": ("31;42", "39", Pen(ground=2)),
    "the ground": ("31;42", "49", Pen(ink=1)),
    "an underline by its style": ("4", "4:0", PLAIN),
    "inverse": ("7;9", "27", Pen(strike=True)),
}


@pytest.mark.parametrize("name", ENDS)
def test_a_look_ends(name) -> None:
    on, off, left = ENDS[name]
    assert paint(f"{ESC}[{on}mx{ESC}[{off}m")[1] == left


@pytest.mark.parametrize("numbers", ["38", "38;5", "38;5;256", "38;2;1;2", "38;9", "38:2:1", "?31", "<31", "99999"])
def test_a_color_that_is_none_changes_nothing(numbers) -> None:
    assert paint(f"{ESC}[{numbers}mtext") == ("text", PLAIN)


def test_a_look_goes_on_in_the_next_line() -> None:
    _, pen = paint(f"{ESC}[31mfirst")
    assert paint("second", pen) == ('<span class="f1">second</span>', pen)


DROPPED = {
    "clear to the end": f"{ESC}[K",
    "move": f"{ESC}[2;5H",
    "private": f"{ESC}[?25l",
    "title": f"{ESC}]0;a title\x07",
    "title with the other end": f"{ESC}]0;a title{ESC}\\",
    "link": f"{ESC}]8;;https://example.org{ESC}\\",
    "device string": f"{ESC}Pq#0;2;0{ESC}\\",
    "character set": f"{ESC}(B",
    "keypad": f"{ESC}=",
    "sequence that the end of the line cuts": f"{ESC}[38;5",
    "escape alone": ESC,
}


@pytest.mark.parametrize("name", DROPPED)
def test_other_escapes_are_dropped(name) -> None:
    assert paint(f"before{DROPPED[name]}")[0] == "before"
    if "cuts" not in name and "alone" not in name:
        assert paint(f"before{DROPPED[name]}after")[0] == "beforeafter"


def test_a_title_without_an_end_hides_nothing() -> None:
    assert paint(f"{ESC}]0;what comes")[0] == "0;what comes"


LINES = {
    "10%\r20%\r30%": "30%",
    "10%\r20%\r": "20%",
    "text\r\r": "text",
    "plain": "plain",
    "\r": "",
    "": "",
    f"10%\r{ESC}[32m20%\r": "20%",
    f"working\r{ESC}[K": "",
}


@pytest.mark.parametrize("line", LINES)
def test_of_a_line_that_was_written_over_the_last_state_is_shown(line) -> None:
    assert Seen(paint(line)[0]).text == LINES[line]


def test_colors_from_what_was_written_over_still_count() -> None:
    assert paint(f"{ESC}[31m10%\r20%")[0] == '<span class="f1">20%</span>'


def test_control_characters_are_signs() -> None:
    assert visible("a\0b\x08\x7f\x9b\u202e\u2028") == "a␀b␈␡\\x9b\\u202e\\u2028"
    assert visible("tab\tstays, ü and 字 too") == "tab\tstays, ü and 字 too"


@given(st.text(st.sampled_from("<>&\"'/=;:[]m0123456789\x1b\x07\r\\a \0é") | st.characters()))
def test_content_never_becomes_markup(line) -> None:
    html, _ = paint(line)
    seen = Seen(html)
    assert seen.other == []
    for tag, found in seen.tags:
        assert tag == "span"
        assert list(found) == ["class"]
        assert all(word.isalnum() and word.isascii() for word in str(found["class"]).split())
    assert not any(character < " " and character != "\t" for character in html)


@given(st.text(st.characters(exclude_characters="\x1b\r", exclude_categories=["Cc", "Cs"])))
def test_a_text_without_escapes_is_shown_whole(line) -> None:
    assert Seen(paint(line)[0]).text == visible(line)


@given(st.text(), st.text(), st.builds(Pen, st.none() | st.integers(0, 255), st.none() | st.integers(0, 255)))
def test_it_ends_with_the_pen_that_the_last_sequence_left(before, after, pen) -> None:
    assert paint(f"{before}{ESC}\\{ESC}[0;35m{after.replace(ESC, '')}", pen)[1] == Pen(ink=5)


LEVELS = (0, 95, 135, 175, 215, 255)
PALETTE = {
    16 + 36 * r + 6 * g + b: (LEVELS[r], LEVELS[g], LEVELS[b]) for r in range(6) for g in range(6) for b in range(6)
}
PALETTE |= {232 + step: (8 + 10 * step,) * 3 for step in range(24)}
BYTE = st.integers(0, 255)


@given(BYTE, BYTE, BYTE)
def test_no_other_color_is_nearer(red, green, blue) -> None:
    def miss(color: int) -> int:
        return sum((a - b) ** 2 for a, b in zip(PALETTE[color], (red, green, blue), strict=True))

    assert miss(nearest(red, green, blue)) == min(map(miss, PALETTE))


@given(st.text(st.sampled_from("\rab")))
def test_the_last_state_is_behind_the_last_return_that_is_no_end(line) -> None:
    assert line[last_state(line) :].rstrip("\r") == line.rstrip("\r").rpartition("\r")[2]


def test_a_line_full_of_openings_takes_no_time() -> None:
    for opening in (f"{ESC}]", f"{ESC}P", f"{ESC}[", f"{ESC}(", "\r"):
        paint(opening * 100_000)
