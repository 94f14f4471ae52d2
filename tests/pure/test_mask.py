"""Masking of secrets: none is shown, in no form, wherever the pieces of the output begin and end."""

import base64
import json
import shlex
import subprocess
from itertools import combinations
from random import Random
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prunner_trio.policy.mask import Mask, Masking, mask_for
from prunner_trio.policy.secret_forms import is_too_short, secret_forms

TOKEN = "s3cr3t/t+ken?"
LONG = bytes(range(33, 93))


def in_pieces(mask, *pieces):
    stream = Masking(mask)
    return b"".join([*map(stream.feed, pieces), stream.finish()])


def plainly(forms, text):
    """What masking is, said in the simplest way: each byte of each form goes, with one mask for all that overlap."""
    size = len(text)
    covered = [(start, start + len(form)) for start in range(size) for form in forms if text.startswith(form, start)]
    covered += [
        (start, size)
        for start in range(size)
        if len(text[start:].strip()) >= 6 and any(form.startswith(text[start:]) for form in forms)
    ]
    out, done = b"", 0
    for start, end in sorted(covered):
        if start >= done:
            out += text[done:start] + b"***"
        done = max(done, end)
    return out + text[done:]


def shown(value, text):
    return in_pieces(mask_for(frozenset({value})), text)


# ---------------------------------------------------------------------------------------------------------- the stream


@pytest.mark.parametrize(
    ("forms", "text", "masked"),
    [
        ([b"secret"], b"", b""),
        ([b"secret"], b"no such thing", b"no such thing"),
        ([b"secret"], b"secret", b"***"),
        ([b"secret"], b"a secret is a secret.", b"a *** is a ***."),
        ([b"secret"], b"secretsecret", b"******"),
        ([b"secret"], b"secresecret", b"secre***"),
        ([b"pass12", b"pass1234word"], b"pass1234word pass1234wor", b"*** ***"),
        ([b"pass12", b"1234word"], b"pass1234word", b"***"),
        ([b"abcabc"], b"abcabcabc", b"***"),
        ([b"aaaaaa"], b"a" * 100, b"***"),
        ([b"secret word"], b"a secret", b"a ***"),
        ([b"secret word"], b"a secre", b"a secre"),
        ([b"secret word"], b"secret wor.", b"secret wor."),
        ([b"      secret"], b"      s", b"      s"),
        ([LONG], LONG[:-1], b"***"),
        ([b"inner1", b"an inner1 outer"], b"an inner1 oute! an inner1 outer", b"an *** oute! ***"),
        ([LONG, LONG[:40], LONG[50:]], LONG[:45] + b" " + LONG + LONG[50:], b"***" + LONG[40:45] + b" ******"),
    ],
)
def test_each_form_is_masked_and_where_forms_overlap_none_leaves_a_rest(forms, text, masked):
    assert in_pieces(Mask.of(forms), text) == masked == plainly(forms, text)


@pytest.mark.parametrize("count", [64, 65, 200])
def test_any_number_of_forms_is_masked(count):
    chance = Random(count)
    forms = [bytes(chance.choices(b"abc", k=chance.randint(6, 24))) for _ in range(count)]
    mask = Mask.of(forms)
    for _ in range(20):
        text = b" ".join(bytes(chance.choices(b"abc", k=chance.randint(0, 60))) for _ in range(10))
        first, second = sorted(chance.choices(range(len(text)), k=2))
        assert in_pieces(mask, text[:first], text[first:second], text[second:]) == plainly(forms, text)


TEXTS = [
    ([b"secret"], b"xsecretsecresecretx"),
    ([b"pass12", b"pass1234word"], b"pass1234wpass1234word"),
    ([b"pass12", b"1234word"], b"pass1234word1234word"),
    ([b"aabaab"], b"aaabaabaaabaab"),
    ([b"inner1", b"an inner1 outer"], b"an inner1 ouan inner1 outer"),
    ([LONG[:20], LONG[:30], LONG[10:40]], LONG[:29] + LONG[:30] + LONG[12:40]),
]


@pytest.mark.parametrize(("forms", "text"), TEXTS)
def test_it_does_not_matter_where_pieces_end(forms, text):
    mask, masked = Mask.of(forms), plainly(forms, text)
    for first, second in combinations(range(len(text) + 1), 2):
        assert in_pieces(mask, text[:first], text[first:second], text[second:]) == masked
    assert in_pieces(mask, *(bytes([byte]) for byte in text)) == masked


letters = st.sampled_from([b"a", b"b", b"ab", b"aab", b"abcabc", b"c"])
words = st.lists(letters, min_size=1, max_size=14).map(b"".join)


@st.composite
def cases(draw):
    """Draw forms of few letters, and pieces that are made of parts of them."""
    forms = draw(st.lists(words.map(lambda word: word.ljust(6, b"c")), min_size=1, max_size=6))
    parts = [form[start:end] for form in forms for start, end in ((0, None), (0, -1), (1, None), (0, 17), (3, 9))]
    return forms, draw(st.lists(st.one_of(words, st.sampled_from(parts), st.just(b" ")), max_size=30))


@given(cases())
def test_the_result_is_that_of_masking_all_at_once(case):
    forms, pieces = case
    masked = in_pieces(Mask.of(forms), *pieces)
    assert masked == plainly(forms, b"".join(pieces))
    assert not any(form in part for form in forms for part in masked.split(b"***"))


@given(st.lists(st.text(min_size=1), min_size=1, max_size=4), st.data())
def test_no_form_of_a_secret_is_left_whatever_the_text_is(values, data):
    mask = mask_for(frozenset(values))
    forms = sorted(frozenset().union(*map(secret_forms, values)))
    pieces = data.draw(st.lists(st.one_of(st.binary(), st.sampled_from(forms or [b""])), max_size=12))
    if mask is None:
        assert all(map(is_too_short, values))
    else:
        masked = in_pieces(mask, *pieces)
        assert masked == plainly(forms, b"".join(pieces))
        assert masked == in_pieces(mask, b"".join(pieces))


@given(cases())
def test_what_is_held_back_may_still_become_a_secret(case):
    forms, pieces = case
    stream, out = Masking(Mask.of(forms)), b""
    for count, piece in enumerate(pieces, 1):
        out += stream.feed(piece)
        so_far = b"".join(pieces[:count])
        undecided = next(
            start
            for start in range(len(so_far) + 1)
            if any(form.startswith(so_far[start:]) and len(form) > len(so_far) - start for form in forms)
        )
        masked = plainly(forms, so_far)
        assert masked.startswith(out)
        assert len(masked) - len(out) <= len(so_far) - undecided


@pytest.mark.parametrize(
    ("pieces", "out"),
    [
        ([b"Password: "], [b"Password: "]),
        ([b"no sec", b"ond"], [b"no ", b"second"]),
        ([b"secret", b"s", b"."], [b"***", b"", b"s."]),
        ([b"sec", b"ret"], [b"", b"***"]),
        ([b"pass12", b"34", b"5"], [b"***", b"", b"345"]),
        ([b"pass12", b"34", b"word"], [b"***", b"", b""]),
    ],
)
def test_what_cannot_become_a_secret_is_shown_at_once(pieces, out):
    stream = Masking(Mask.of([b"secret", b"pass12", b"pass1234word"]))
    assert [stream.feed(piece) for piece in pieces] == out


def test_endless_overlap_is_not_kept_in_memory():
    stream = Masking(Mask.of([b"aaaaaa"]))
    assert b"".join(stream.feed(b"a" * 1000) for _ in range(100)) == b"***"
    assert len(stream._rest) < 6
    assert stream.finish() == b""


# ----------------------------------------------------------------------------------------------------------- the forms


def openssh_key():
    body = base64.encodebytes(bytes(range(200))).decode()
    return f"-----BEGIN OPENSSH PRIVATE KEY-----\n{body}-----END OPENSSH PRIVATE KEY-----\n"


VALUES = [
    TOKEN,
    "hunter2hunter2",
    'it\'s "50 %" <of> $HOME & `more` \\ ~!',
    "pâsswörd…",
    "two lines\nof some length",
    openssh_key(),
    " blanks around ",
    "\udcffnot UTF-8\udcfe",
]


@pytest.mark.parametrize("value", VALUES)
def test_all_usual_forms_are_masked(value):
    raw = value.encode("utf-8", "surrogateescape")
    text = raw.decode("utf-8", "surrogateescape")
    forms = [
        raw,
        raw.strip(),
        raw.hex().encode(),
        raw.hex().upper().encode(),
        quote(raw).encode(),
        quote(raw, safe="").encode(),
        quote_plus(raw).encode(),
        json.dumps(text)[1:-1].encode(),
        json.dumps(text).replace("/", "\\/")[1:-1].encode(),
        json.dumps(text, ensure_ascii=False)[1:-1].encode("utf-8", "surrogateescape"),
        shlex.quote(text)[1:-1].encode("utf-8", "surrogateescape") if shlex.quote(text) != text else raw,
    ]
    for form in forms:
        assert shown(value, b"<" + form + b">") == b"<***>"


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_base64_is_masked_wherever_the_value_stands_in_it(value, encode):
    raw = value.encode("utf-8", "surrogateescape")
    for before in range(7):
        for after in range(4):
            encoded = encode(b"?" * before + raw + b"!" * after)
            first, rest = shown(value, encoded).split(b"***")
            assert encoded.startswith(first)
            assert encoded.endswith(rest)
            assert len(first) <= before * 4 / 3 + 1
            assert len(rest) <= after * 4 / 3 + 4  # with the padding


@pytest.mark.parametrize("value", [value for value in VALUES if "\udcff" not in value])
@pytest.mark.parametrize("shell", ["bash", "sh"])
def test_what_shells_show_of_their_variables_is_masked(value, shell):
    script = 'x=$1; set -x; : "$x"; : "<$x>"; set'
    if shell == "bash":
        script += '; printf "%q\\n" "$x"; declare -p x; export -p; : "${x@Q}"'
    done = subprocess.run(
        [shell, "-c", script, shell, value], capture_output=True, check=True, env={"LC_ALL": "C.UTF-8"}
    )
    for output in (done.stdout, done.stderr):
        masked = shown(value, output)
        assert b"***" in masked
        for line in value.splitlines():
            assert line.strip().encode() not in masked


def test_each_line_of_a_secret_is_one():
    key = openssh_key()
    masked = shown(key, key.replace("\n", "\r\n").encode())
    assert masked.replace(b"\r\n", b"") == b"***" * len(key.splitlines())


def test_short_lines_of_a_secret_are_not():
    assert shown("{\n secret: 12345678\n}", b"{ }") == b"{ }"


@pytest.mark.parametrize("value", ["", "12345", "    x    ", "é€"])
def test_nothing_is_masked_for_a_value_that_is_too_short(value):
    assert is_too_short(value)
    assert secret_forms(value) == frozenset()
    assert mask_for(frozenset({value})) is None
    assert mask_for(frozenset({value, TOKEN})).text(f"{value} {TOKEN}") == f"{value} ***"


@pytest.mark.parametrize("value", VALUES)
def test_no_form_is_shorter_than_the_shortest_secret(value):
    assert not is_too_short(value)
    assert min(len(form.strip()) for form in secret_forms(value)) >= 6


def test_a_mask_does_not_show_what_it_hides():
    assert "ken" not in repr(mask_for(frozenset({TOKEN})))
    stream = Masking(mask_for(frozenset({TOKEN})))
    stream.feed(TOKEN[:-1].encode())
    assert "ken" not in repr(stream)


def test_texts_are_masked_too():
    assert mask_for(frozenset({TOKEN})).text("none \udcff") == "none \udcff"
    assert mask_for(frozenset({TOKEN})).text(f"cannot start {TOKEN}: \udcff") == "cannot start ***: \ufffd"


@pytest.mark.parametrize("value", [TOKEN, "\udcffnot UTF-8\udcfe", "pass\U0001f600word", "\ud800 half"])
def test_halves_of_surrogate_pairs_in_texts_hinder_nothing(value):
    mask = mask_for(frozenset({value}))
    assert mask.text(f"\ud83d {value} \udc00") == "\ufffd *** \ufffd"
    assert mask.text("\ud83d nothing") == "\ud83d nothing"


def test_what_is_written_as_two_halves_is_masked_as_one_character():
    assert mask_for(frozenset({"pass\U0001f600word"})).text("pass\ud83d\ude00word") == "***"
