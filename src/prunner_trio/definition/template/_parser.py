"""From tokens to trees, with the errors Go's parser would give."""

from typing import Literal as Choice

import attrs

from prunner_trio.definition.template._errors import Fault, TemplateError
from prunner_trio.definition.template._functions import FUNCTIONS
from prunner_trio.definition.template._lexer import Kind, Lexer, Token
from prunner_trio.definition.template._literals import quote_string, read_char, read_number, read_string
from prunner_trio.definition.template._nodes import (
    Action,
    Break,
    Chain,
    Clause,
    Command,
    Continue,
    Dot,
    Field,
    Function,
    If,
    Invoke,
    Literal,
    Nil,
    Node,
    Operand,
    Pipe,
    Range,
    Text,
    Tree,
    Variable,
    With,
)

__all__ = ["MAX_NESTING", "parse_trees"]

MAX_NESTING = 100
"""How deep blocks and parentheses may be nested; keeps the recursion of parser and evaluation bounded."""

_OPERANDS = frozenset(
    {
        Kind.BOOL,
        Kind.CHAR_CONSTANT,
        Kind.DOT,
        Kind.FIELD,
        Kind.IDENTIFIER,
        Kind.LEFT_PAREN,
        Kind.NIL,
        Kind.NUMBER,
        Kind.RAW_STRING,
        Kind.STRING,
        Kind.VARIABLE,
    }
)

Terminator = Choice["end", "else"]


def parse_trees(name: str, text: str) -> dict[str, Tree]:
    """Parse a template and the templates it defines; raise `TemplateError`.

    Returns:
        all of them by name; that of the text itself is there under `name`.
    """
    return _Parser(name, Lexer(text)).parse()


@attrs.define(eq=False)
class _Scope:
    """What belongs to one named template while it is parsed."""

    variables: list[str] = attrs.field(factory=lambda: ["$"])
    ranges: int = 0


@attrs.define(eq=False)
class _Parser:
    _name: str
    _lexer: Lexer
    _trees: dict[str, Tree] = attrs.Factory(dict)
    _scope: _Scope = attrs.Factory(_Scope)
    _ahead: list[Token] = attrs.Factory(list)
    _line: int = 1
    _action_line: int = 0
    _nesting: int = 0

    def parse(self) -> dict[str, Tree]:
        nodes: list[Node] = []
        while self._peek().kind is not Kind.EOF:
            if self._at_definition():
                self._definition()
                continue
            node = self._node()
            if isinstance(node, str):
                raise self._error(f"unexpected {{{{{node}}}}}")
            nodes.append(node)
        self._add(Tree(self._name, tuple(nodes)))
        return self._trees

    # Errors

    def _error(self, message: str) -> TemplateError:
        return TemplateError(f"template: {self._name}:{self._line}: {message}", self._line)

    def _unexpected(self, token: Token, context: str) -> TemplateError:
        if token.kind is not Kind.ERROR:
            return self._error(f"unexpected {token} in {context}")
        started = ""
        if self._action_line not in (0, token.line):
            started = f" started at {self._name}:{self._action_line}"
            if not token.text.endswith(" action"):
                started = " in action" + started
        return self._error(f"{token}{started}")

    # Tokens

    def _next(self) -> Token:
        if self._ahead:
            return self._ahead.pop()
        token = self._lexer.next()
        self._line = token.line
        return token

    def _unread(self, token: Token) -> None:
        self._ahead.append(token)

    def _peek(self) -> Token:
        token = self._next()
        self._unread(token)
        return token

    def _next_word(self) -> Token:
        token = self._next()
        while token.kind is Kind.SPACE:
            token = self._next()
        return token

    def _peek_word(self) -> Token:
        token = self._next_word()
        self._unread(token)
        return token

    def _expect_right_delim(self, context: str) -> None:
        token = self._next_word()
        if token.kind is not Kind.RIGHT_DELIM:
            raise self._unexpected(token, context)

    # Templates within the template

    def _at_definition(self) -> bool:
        """Consume ``{{define`` if that is what comes next."""
        delim = self._next()
        if delim.kind is Kind.LEFT_DELIM:
            word = self._next_word()
            if word.kind is Kind.KEYWORD and word.text == "define":
                return True
            self._unread(word)
        self._unread(delim)
        return False

    def _definition(self) -> None:
        context = "define clause"
        name = self._template_name(context)
        self._expect_right_delim(context)
        self._add(Tree(name, self._separate_body(context)))

    def _block(self) -> Invoke:
        context = "block clause"
        pos = self._peek_word().pos
        name = self._template_name(context)
        pipe = self._pipeline(context, Kind.RIGHT_DELIM)
        self._add(Tree(name, self._separate_body(context)))
        return Invoke(pos, name, pipe)

    def _separate_body(self, context: str) -> tuple[Node, ...]:
        """Parse the body of a template of its own, which sees no variables of the one around it."""
        outer, self._scope, self._action_line = self._scope, _Scope(), 0
        nodes, terminator = self._items()
        if terminator != "end":
            raise self._error(f"unexpected {{{{{terminator}}}}} in {context}")
        self._scope = outer
        return nodes

    def _add(self, tree: Tree) -> None:
        known = self._trees.get(tree.name)
        if known is None or known.is_empty:
            self._trees[tree.name] = tree
        elif not tree.is_empty:
            raise self._error(f"template: multiple definition of template {quote_string(tree.name)}")

    def _invoke(self) -> Invoke:
        context = "template clause"
        pos = self._peek_word().pos
        name = self._template_name(context)
        if self._peek_word().kind is Kind.RIGHT_DELIM:
            self._next()
            return Invoke(pos, name, None)
        return Invoke(pos, name, self._pipeline(context, Kind.RIGHT_DELIM))

    def _template_name(self, context: str) -> str:
        token = self._next_word()
        if token.kind not in (Kind.STRING, Kind.RAW_STRING):
            raise self._unexpected(token, context)
        return self._string(token)

    # Text and actions

    def _items(self) -> tuple[tuple[Node, ...], Terminator]:
        nodes: list[Node] = []
        self._nesting += 1
        if self._nesting > MAX_NESTING:
            raise self._error("blocks are nested too deeply")
        while self._peek_word().kind is not Kind.EOF:
            node = self._node()
            if isinstance(node, str):
                self._nesting -= 1
                return tuple(nodes), node
            nodes.append(node)
        raise self._error("unexpected EOF")

    def _node(self) -> Node | Terminator:
        token = self._next_word()
        if token.kind is Kind.TEXT:
            return Text(token.pos, token.text)
        if token.kind is not Kind.LEFT_DELIM:
            raise self._unexpected(token, "input")
        self._action_line = token.line
        node = self._action()
        self._action_line = 0
        return node

    def _action(self) -> Node | Terminator:
        token = self._next_word()
        if token.kind is Kind.KEYWORD:
            match token.text:
                case "block":
                    return self._block()
                case "break" | "continue":
                    return self._jump(token)
                case "else":
                    return self._else()
                case "end":
                    self._expect_right_delim("end")
                    return "end"
                case "if" | "with":
                    return self._condition(token.text)
                case "range":
                    return self._range()
                case "template":
                    return self._invoke()
        self._unread(token)
        # The variables it declares stay until the next end.
        return Action(token.pos, self._pipeline("command", Kind.RIGHT_DELIM))

    def _jump(self, token: Token) -> Node:
        action = f"{{{{{token.text}}}}}"
        self._expect_right_delim(action)
        if not self._scope.ranges:
            raise self._error(f"{action} outside {{{{range}}}}")
        return Break(token.pos) if token.text == "break" else Continue(token.pos)

    def _else(self) -> Terminator:
        word = self._peek_word()
        if word.kind is Kind.KEYWORD and word.text in ("if", "with"):
            # Left for `_condition`, which knows whether it may stand here.
            return "else"
        self._expect_right_delim("else")
        return "else"

    def _condition(self, keyword: str) -> If | With:
        mark = len(self._scope.variables)
        pos = self._peek_word().pos
        clauses: list[Clause] = []
        otherwise: tuple[Node, ...] = ()
        while True:
            pipe = self._pipeline(keyword, Kind.RIGHT_DELIM)
            body, terminator = self._items()
            clauses.append(Clause(pipe, body))
            if terminator == "end":
                break
            word = self._peek()
            if word.kind is not Kind.KEYWORD or word.text != keyword:
                otherwise = self._final_else()
                break
            self._next()
        del self._scope.variables[mark:]
        node = If if keyword == "if" else With
        return node(pos, tuple(clauses), otherwise)

    def _range(self) -> Range:
        mark = len(self._scope.variables)
        pos = self._peek_word().pos
        pipe = self._pipeline("range", Kind.RIGHT_DELIM)
        self._scope.ranges += 1
        body, terminator = self._items()
        self._scope.ranges -= 1
        otherwise = self._final_else() if terminator == "else" else ()
        del self._scope.variables[mark:]
        return Range(pos, pipe, body, otherwise)

    def _final_else(self) -> tuple[Node, ...]:
        nodes, terminator = self._items()
        if terminator != "end":
            raise self._error(f"expected end; found {{{{{terminator}}}}}")
        return nodes

    # Pipelines

    def _pipeline(self, context: str, end: Kind) -> Pipe:
        pos = self._peek_word().pos
        names, assigns = self._targets(context)
        commands: list[Command] = []
        while True:
            token = self._next_word()
            if token.kind is end:
                break
            if token.kind not in _OPERANDS:
                raise self._unexpected(token, context)
            self._unread(token)
            commands.append(self._command())
        if not commands:
            raise self._error(f"missing value for {context}")
        for stage, command in enumerate(commands[1:], start=2):
            if isinstance(command.words[0], Literal | Dot | Nil):
                raise self._error(f"non executable command in pipeline stage {stage}")
        return Pipe(pos, assigns, tuple(names), tuple(commands))

    def _targets(self, context: str) -> tuple[list[str], bool]:
        """Parse what stands before ``:=`` or ``=``, if anything does."""
        names: list[str] = []
        while self._peek_word().kind is Kind.VARIABLE:
            variable = self._next()
            following = self._peek()
            operator = self._peek_word()
            if operator.kind in (Kind.ASSIGN, Kind.DECLARE):
                self._next()
                self._declare(variable.text, names)
                return names, operator.kind is Kind.ASSIGN
            if operator.kind is not Kind.OTHER or operator.text != ",":
                # No target but the first operand. The space behind it separates it from the next one.
                if following.kind is Kind.SPACE:
                    self._unread(following)
                self._unread(variable)
                break
            self._next()
            self._declare(variable.text, names)
            if context != "range" or len(names) > 1:
                raise self._error(f"too many declarations in {context}")
            if self._peek_word().kind not in (Kind.VARIABLE, Kind.RIGHT_DELIM, Kind.RIGHT_PAREN):
                raise self._error("range can only initialize variables")
        return names, False

    def _declare(self, name: str, names: list[str]) -> None:
        names.append(name)
        self._scope.variables.append(name)

    def _command(self) -> Command:
        pos = self._peek_word().pos
        words: list[Operand] = []
        while True:
            self._peek_word()
            operand = self._operand()
            if operand is not None:
                words.append(operand)
            token = self._next()
            if token.kind is Kind.SPACE:
                continue
            if token.kind in (Kind.RIGHT_DELIM, Kind.RIGHT_PAREN):
                self._unread(token)
            elif token.kind is not Kind.PIPE:
                raise self._unexpected(token, "operand")
            break
        return Command(pos, tuple(words))

    def _operand(self) -> Operand | None:
        term = self._term()
        member = self._peek()
        if term is None or member.kind is not Kind.FIELD:
            return term
        path: list[str] = []
        while self._peek().kind is Kind.FIELD:
            path.append(self._next().text[1:])
        # The position is that of the members, not that of the term: Go reports it so.
        match term:
            case Field():
                return Field(member.pos, (*term.path, *path))
            case Variable():
                return Variable(member.pos, term.name, tuple(path))
            case Pipe() | Function():
                return Chain(member.pos, term, tuple(path))
            case _:
                raise self._error(f"unexpected . after term {quote_string(str(term))}")

    def _term(self) -> Operand | None:
        token = self._next_word()
        match token.kind:
            case Kind.IDENTIFIER:
                if token.text not in FUNCTIONS:
                    raise self._error(f"function {quote_string(token.text)} not defined")
                return Function(token.pos, token.text)
            case Kind.DOT:
                return Dot(token.pos)
            case Kind.NIL:
                return Nil(token.pos)
            case Kind.VARIABLE:
                if token.text not in self._scope.variables:
                    raise self._error(f"undefined variable {quote_string(token.text)}")
                return Variable(token.pos, token.text)
            case Kind.FIELD:
                return Field(token.pos, (token.text[1:],))
            case Kind.BOOL:
                return Literal(token.pos, token.text, token.text == "true")
            case Kind.CHAR_CONSTANT | Kind.NUMBER:
                return Literal(token.pos, token.text, self._number(token))
            case Kind.STRING | Kind.RAW_STRING:
                return Literal(token.pos, token.text, self._string(token))
            case Kind.LEFT_PAREN:
                return self._parenthesized()
        self._unread(token)
        return None

    def _parenthesized(self) -> Pipe:
        self._nesting += 1
        if self._nesting > MAX_NESTING:
            raise self._error("max expression depth exceeded")
        pipe = self._pipeline("parenthesized pipeline", Kind.RIGHT_PAREN)
        self._nesting -= 1
        return pipe

    def _number(self, token: Token) -> int | float:
        try:
            return read_char(token.text) if token.kind is Kind.CHAR_CONSTANT else read_number(token.text)
        except Fault as fault:
            raise self._error(str(fault)) from fault

    def _string(self, token: Token) -> str:
        try:
            return read_string(token.text)
        except Fault as fault:
            raise self._error(str(fault)) from fault
