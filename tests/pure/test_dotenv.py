"""Dotenv files as prunner reads them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prunner_trio.daemon.dotenv import InvalidDotenv, parse_dotenv

GOOD = {
    "plain": ("A=1\nB=2\n", {"A": "1", "B": "2"}),
    "no newline at the end": ("A=1", {"A": "1"}),
    "windows lines": ("A=1\r\nB=2\r\n", {"A": "1", "B": "2"}),
    "byte order mark": ("\ufeffA=1\n", {"A": "1"}),
    "nothing": ("", {}),
    "comments and blank lines": ("# c\n\n  # d\nA=1\n#B=2\n", {"A": "1"}),
    "export": ("export A=1\nexport  B=2\n", {"A": "1", "B": "2"}),
    "yaml style": ("A: 1\nB: two words\nexport C: 3\nD : 4\n", {"A": "1", "B": "two words", "C": "3", "D": "4"}),
    "yaml style without a blank": ("A:1\nB:x=y\n", {"A": "1", "B": "x=y"}),
    "yaml style with quotes over lines": ('A: "x\ny: 1"\nB: 2\n', {"A": "x\ny: 1", "B": "2"}),
    "a colon in a value": ("A=b:c\nURL=http://x:1/\n", {"A": "b:c", "URL": "http://x:1/"}),
    "what looks like yaml inside of quotes": ('A="one\nB: 2\n"\n', {"A": "one\nB: 2\n"}),
    "blanks around": ("  A = 1  \n", {"A": "1"}),
    "empty": ("A=\nB=2\n", {"A": "", "B": "2"}),
    "equals in the value": ("A=a=b=c\n", {"A": "a=b=c"}),
    "a tail": ("A=1 # one\nB='2' # two\nC=\"3\" # three\n", {"A": "1", "B": "2", "C": "3"}),
    "a hash inside": ("A=a#b\nB='a # b'\n", {"A": "a#b", "B": "a # b"}),
    "double quotes": ('A="l1\\nl2"\nB="a \\"b\\" c"\n', {"A": "l1\nl2", "B": 'a "b" c'}),
    "single quotes": ("A='l1\\nl2'\n", {"A": "l1\\nl2"}),
    "names above in the same file": ("A=1\nB=${A}2\nC=$B/x\n", {"A": "1", "B": "12", "C": "12/x"}),
    "in double quotes": ('A=1\nB="<${A}>"\n', {"A": "1", "B": "<1>"}),
    "not in single quotes": ("A=1\nB='${A}'\n", {"A": "1", "B": "${A}"}),
    "nor with a backslash": ("A=1\nB=\\${A}\n", {"A": "1", "B": "${A}"}),
    "names of nobody": ("B=<${NOBODY}>\n", {"B": "<>"}),
    "names below": ("B=<${A}>\nA=1\n", {"B": "<>", "A": "1"}),
    "a lonely dollar": ("A=5$\nB=$(date)\n", {"A": "5$", "B": "$(date)"}),
    "the last one counts": ("A=1\nA=2\n", {"A": "2"}),
}


@pytest.mark.parametrize("name", GOOD)
def test_what_can_be_written(name: str) -> None:
    text, expected = GOOD[name]
    assert parse_dotenv(text) == expected


def test_the_process_environment_is_not_visible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FROM_OUTSIDE", "secret")
    assert parse_dotenv("A=<${FROM_OUTSIDE}>\n") == {"A": "<>"}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("A='open\n", 1),
        ('A=1\nB="open\n', 2),
        ("A=1\n\n\nnonsense here\n", 4),
        ("A=1\nLONELY\n", 2),
        ("=1\n", 1),
        ("A='1' tail\n", 1),
        ("A B=1\n", 1),
        ("A=x\0y\n", 1),
    ],
)
def test_a_broken_line_is_an_error_with_file_and_line(text: str, line: int) -> None:
    with pytest.raises(InvalidDotenv) as caught:
        parse_dotenv(text, "my.env")
    assert (caught.value.file, caught.value.line) == ("my.env", line)
    assert f"my.env:{line}: " in str(caught.value)


def test_a_message_does_not_show_values() -> None:
    with pytest.raises(InvalidDotenv) as caught:
        parse_dotenv("PASSWORD='hunter2\n")
    assert "hunter2" not in str(caught.value)


@given(text=st.text(st.sampled_from("AB= :#'\"\\\n\r\t${}()export"), max_size=40))
def test_any_text_gives_texts_or_an_error(text: str) -> None:
    try:
        values = parse_dotenv(text)
    except InvalidDotenv:
        return
    for name, value in values.items():
        assert name
        assert "=" not in name
        assert "\0" not in name + value


@given(value=st.text(st.characters(exclude_characters="\0\r", exclude_categories=("Cs",)), max_size=30))
def test_anything_can_be_written_in_double_quotes(value: str) -> None:
    quoted = value.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$")
    assert parse_dotenv(f'A="{quoted}"\n') == {"A": value}
