"""The command line's own parser: Go's flag syntax, variables, defaults, and the help made from the same table."""

import contextlib

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from prunner_trio.cli.flags import Command, Flag, Kind, Parsed, Program, UsageError, command_help, parse, program_help
from prunner_trio.cli.table import PROGRAM


def even(text: str) -> int:
    if int(text) % 2:
        raise ValueError(f"{text} is odd")
    return int(text)


TOY = Program(
    doc="a toy",
    flags=(
        Flag("loud", "make noise", Kind.SWITCH, variable="TOY_LOUD", short="l"),
        Flag("name", "a name", default="nobody", variable="TOY_NAME"),
        Flag("files", "some files", Kind.LIST, default="a,b", variable="TOY_FILES"),
        Flag("pairs", "an even number", default="2", variable="TOY_PAIRS", check=even),
    ),
    commands=(
        Command(
            "show",
            "show it",
            "toy show x",
            operands=("THING",),
            flags=(Flag("define", "a definition", Kind.REPEATED, short="l", value="K=V"),),
            shared=("name",),
        ),
        Command("store export", "export it", "toy store export"),
    ),
)


def toy(*words: str, **variables: str) -> Parsed:
    return parse(TOY, words, variables)


@pytest.mark.parametrize(
    "words", [["--name", "x"], ["-name", "x"], ["--name=x"], ["-name=x"], ["--name=y", "--name=x"]]
)
def test_one_dash_is_as_good_as_two_and_the_last_value_counts(words: list[str]) -> None:
    assert toy(*words).values.text("name") == "x"


@pytest.mark.parametrize(
    ("words", "on"),
    [
        ([], False),
        (["--loud"], True),
        (["-l"], True),
        (["--loud=false"], False),
        (["-l=T"], True),
        (["--loud=0"], False),
    ],
)
def test_a_switch_takes_a_value_behind_an_equals_sign_only(words: list[str], on: bool) -> None:
    assert toy(*words).values.switch("loud") is on


def test_the_word_behind_a_switch_is_not_its_value() -> None:
    with pytest.raises(UsageError, match="unknown command 'false'"):
        toy("--loud", "false")


def test_the_word_behind_a_flag_is_its_value_even_if_it_looks_like_a_flag() -> None:
    assert toy("--name", "--loud").values.text("name") == "--loud"


def test_a_value_may_contain_an_equals_sign() -> None:
    assert toy("--name=a=b").values.text("name") == "a=b"


@pytest.mark.parametrize(
    ("words", "variables", "expected"),
    [
        ([], {}, ("a", "b")),
        (["--files", "x"], {}, ("x",)),
        (["--files", "x", "--files=y,z"], {"TOY_FILES": "v"}, ("x", "y", "z")),
        ([], {"TOY_FILES": "v, w"}, ("v", "w")),
        ([], {"TOY_FILES": ""}, ()),
        (["--files="], {}, ()),
    ],
)
def test_lists_are_repeated_or_have_commas(
    words: list[str], variables: dict[str, str], expected: tuple[str, ...]
) -> None:
    assert toy(*words, **variables).values.list("files") == expected


def test_flags_win_over_variables_and_variables_over_defaults() -> None:
    assert toy().values.text("name") == "nobody"
    assert toy(TOY_NAME="variable").values.text("name") == "variable"
    assert toy("--name", "flag", TOY_NAME="variable").values.text("name") == "flag"


def test_an_empty_variable_counts_as_none_where_it_would_mean_nothing() -> None:
    assert toy(TOY_NAME="", TOY_LOUD="").values.text("name") == "nobody"


@pytest.mark.parametrize(
    ("words", "variables", "message"),
    [
        (["--nme", "x"], {}, "unknown flag --nme"),
        (["-z"], {}, "unknown flag -z"),
        (["--name"], {}, "flag --name needs a value"),
        (["--loud=perhaps"], {}, "flag --loud: 'perhaps' is neither true nor false"),
        ([], {"TOY_LOUD": "perhaps"}, "variable TOY_LOUD: 'perhaps' is neither true nor false"),
        (["--pairs", "3"], {}, "flag --pairs: 3 is odd"),
        ([], {"TOY_PAIRS": "5"}, "variable TOY_PAIRS: 5 is odd"),
        (["shaw", "x"], {}, "unknown command 'shaw'"),
        (["store"], {}, "store needs a command: export"),
        (["store", "import"], {}, "unknown command 'store import'"),
        (["show"], {}, "show needs THING"),
        (["show", "x", "y"], {}, "show does not know what to do with 'y'"),
        (["show", "x", "--loud"], {}, "unknown flag --loud"),
    ],
)
def test_what_cannot_be_understood_is_named(words: list[str], variables: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        toy(*words, **variables)
    assert caught.value.message == message


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["--nme", "x"], "did you mean --name?"),
        (["shaw"], "did you mean show?"),
        (["store", "exprot"], "did you mean store export?"),
        (["--zzz"], ""),
        (["whoa"], ""),
    ],
)
def test_a_near_miss_gets_a_suggestion(words: list[str], hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        toy(*words)
    assert caught.value.hint == hint


def test_flags_of_a_command_stand_anywhere_behind_it() -> None:
    parsed = toy("show", "-l", "a=1,2", "thing", "--define=b=2", "--name", "n")
    assert parsed.operands == ("thing",)
    assert parsed.values.list("define") == ("a=1,2", "b=2")
    assert parsed.values.text("name") == "n"


def test_flags_of_the_program_in_front_of_a_command_count_for_it() -> None:
    assert toy("--name", "n", "--loud", "show", "thing").values.text("name") == "n"


def test_two_dashes_end_the_flags() -> None:
    assert toy("show", "--", "--define").operands == ("--define",)


def test_a_command_of_two_words_is_found() -> None:
    command = toy("store", "export").command
    assert command is not None
    assert command.name == "store export"


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["--help"], None),
        (["-h"], None),
        (["help"], None),
        (["--loud", "-help"], None),
        (["show", "--help"], "show"),
        (["help", "show"], "show"),
        (["--help", "show"], "show"),
        (["store", "--help"], "store export"),
        (["help", "store", "export"], "store export"),
    ],
)
def test_help_is_found_wherever_it_is_asked_for(words: list[str], name: str | None) -> None:
    parsed = toy(*words, TOY_LOUD="perhaps")
    assert parsed.help
    assert (parsed.command.name if parsed.command else None) == name


def test_the_help_names_every_flag_with_its_variable_and_default() -> None:
    text = program_help(TOY, "toy")
    for part in (
        "--loud, -l",
        "TOY_LOUD",
        "default false",
        "--files VALUE",
        "default a,b",
        "store export",
        "--help, -h",
    ):
        assert part in text


def test_the_help_uses_the_name_by_which_the_program_was_called() -> None:
    assert program_help(PROGRAM, "prunner").startswith("prunner: ")
    for command in PROGRAM.commands:
        text = command_help(PROGRAM, command, "prunner")
        for other_thing in ("/var/lib/prunner-trio", "(default prunner-trio)"):  # a directory and a user of that name
            text = text.replace(other_thing, "")
        assert "prunner-trio" not in text


@pytest.mark.parametrize("command", PROGRAM.commands, ids=lambda command: command.name)
def test_every_command_has_a_help_with_an_example(command: Command) -> None:
    text = command_help(PROGRAM, command, "prunner-trio")
    assert "Example:\n  " in text
    for flag in command.flags:
        assert f"--{flag.name}" in text


def test_no_line_of_any_help_is_wider_than_120_columns() -> None:
    texts = [
        program_help(PROGRAM, "prunner-trio"),
        *(command_help(PROGRAM, c, "prunner-trio") for c in PROGRAM.commands),
    ]
    assert [line for text in texts for line in text.splitlines() if len(line) > 120] == []


WORDS = st.lists(
    st.one_of(
        st.sampled_from(["--loud", "-l", "--name", "--files=a", "show", "store", "export", "help", "--", "-", "="]),
        st.text(max_size=8),
    ),
    max_size=6,
)


@given(words=WORDS, variable=st.text(max_size=5))
def test_any_words_are_understood_or_refused_with_a_message(words: list[str], variable: str) -> None:
    try:
        parsed = parse(TOY, words, {"TOY_LOUD": variable})
    except UsageError as exc:
        event(exc.message[:12])
        return
    assert parsed.help or len(parsed.operands) == (len(parsed.command.operands) if parsed.command else 0)


@given(words=WORDS)
def test_the_words_given_are_left_as_they_were(words: list[str]) -> None:
    before = list(words)
    with contextlib.suppress(UsageError):
        parse(TOY, words, {})
    assert words == before
