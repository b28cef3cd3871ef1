"""Variables in values, as docker's client substitutes them, with its casts and its traps.

The expression is cut by searching for `:-`, `-`, `:?` and `?` in this order anywhere in it, not by parsing it. What
surprises follows from that and is kept, because a file must mean here what it means to docker; warnings tell.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from controller.stackfile.problems import Findings, Path
from controller.stackfile.tree import Template

_EXPRESSION = r"[_a-z][_a-z0-9]*(?::?[-?][^}]*)?"
_BRACED = rf"\{{(?P<braced>{_EXPRESSION})\}}"


def _compile(braced: str) -> re.Pattern[str]:
    return re.compile(rf"\$(?:(?P<escaped>\$)|(?P<named>{_EXPRESSION})|{braced}|(?P<invalid>))", re.IGNORECASE | re.ASCII)


_PATTERN = _compile(_BRACED)
_UNBRACED = _compile("(?P<braced>(?!))")
_MAX_EXPRESSIONS = 10_000  # in one text; keeps a hostile one from taking seconds
_NUMBER = re.compile(r"[-+]?[0-9]{1,18}")
_TRUE, _FALSE = frozenset(("y", "yes", "true", "on")), frozenset(("n", "no", "false", "off"))


class InterpolationError(ValueError):
    """The text has a `$` that starts no variable, or a required variable is missing."""


def _matches(template: str) -> Iterator[re.Match[str]]:
    """Every expression, in order; behind the last brace none can close, and looking for one each time would be quadratic."""
    closed = template.rfind("}") + 1
    yield from _PATTERN.finditer(template, 0, closed)
    yield from _UNBRACED.finditer(template, closed)


def substitute(template: str, environment: Mapping[str, str], traps: list[str] | None = None) -> str:
    """Replace the variables in a text, and note in `traps` what probably does not do what its author thinks.

    Raises InterpolationError; like docker's client only for the last expression: an earlier fault is forgotten when a
    later expression of the same text succeeds, and becomes an empty string.
    """
    if template.count("$") > _MAX_EXPRESSIONS:
        raise InterpolationError(f"holds more than {_MAX_EXPRESSIONS} dollar signs")
    fault: str | None = None
    parts, position = [], 0
    for match in _matches(template):
        parts.append(template[position : match.start()])
        position = match.end()
        if match["escaped"]:
            parts.append("$")
            continue
        if fault is not None and traps is not None:
            traps.append(f"this is forgotten, because a later variable of the same text is fine: {fault}")
        value, fault = _evaluate(match["named"] or match["braced"], environment)
        parts.append(value)
        if traps is not None and (trap := _find_trap(match["named"], match["braced"])):
            traps.append(trap)
    if fault is not None:
        raise InterpolationError(fault)
    return "".join([*parts, template[position:]])


def _evaluate(expression: str | None, environment: Mapping[str, str]) -> tuple[str, str | None]:
    """The value of an expression and what is wrong with it."""
    if expression is None:
        return "", "has a $ that starts no variable; write $$ for a dollar sign"
    for separator in (":-", "-", ":?", "?"):
        name, found, tail = expression.partition(separator)
        if not found:
            continue
        value = environment.get(name)
        if value is None or (value == "" and separator[0] == ":"):
            return ("", f"required variable {name} is missing a value: {tail}") if "?" in separator else (tail, None)
        return value, None
    return environment.get(expression, ""), None


def _find_trap(named: str | None, braced: str | None) -> str | None:
    if named and (tail := re.search(r"[-:?]", named)):
        name, rest = named[: tail.start()], named[tail.start() :]
        return f"`${named}` takes all of `{rest}` as a default or message of {name}; write `${{{name}}}{rest}`"
    if braced and "-" in braced and re.match(r"\w+:?\?", braced):
        return f"`${{{braced}}}` holds a hyphen, which makes it a default: the variable is never required"
    if braced and "$" in braced:
        return f"`${{{braced}}}` is cut at the first brace: nothing is substituted inside a default"
    return None


def _to_integer(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise InterpolationError(f"{text!r} is not an integer")
    return int(text)


def _to_float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InterpolationError(f"{text!r} is not a number") from None


def _to_boolean(text: str) -> bool:
    word = text.lower()
    if word not in _TRUE | _FALSE:
        raise InterpolationError(f"{text!r} is not a boolean")
    return word in _TRUE


_Cast = Callable[[str], Any]
_ANY = "*"  # any key, any index


def _casts(cast: _Cast, paths: str) -> dict[tuple[str, ...], _Cast]:
    return {tuple(path.split(".")): cast for path in paths.split()}


_CASTS: dict[tuple[str, ...], _Cast] = {
    **_casts(
        _to_integer,
        """
        services.*.configs.*.mode services.*.secrets.*.mode services.*.healthcheck.retries services.*.deploy.replicas
        services.*.deploy.update_config.parallelism services.*.deploy.rollback_config.parallelism
        services.*.deploy.restart_policy.max_attempts services.*.deploy.placement.max_replicas_per_node
        services.*.ports.*.target services.*.ports.*.published services.*.ulimits.* services.*.ulimits.*.soft
        services.*.ulimits.*.hard services.*.oom_score_adj
        services.*.x-prodbreaker.rollback.keep services.*.x-prodbreaker.budget.actions
        """,
    ),
    **_casts(_to_float, "services.*.deploy.update_config.max_failure_ratio services.*.deploy.rollback_config.max_failure_ratio"),
    **_casts(
        _to_boolean,
        """
        services.*.healthcheck.disable services.*.privileged services.*.read_only services.*.stdin_open services.*.tty
        services.*.volumes.*.read_only services.*.volumes.*.volume.nocopy
        networks.*.external networks.*.internal networks.*.attachable volumes.*.external secrets.*.external configs.*.external
        x-prodbreaker.prune x-prodbreaker.paused
        """,
    ),
}
_CAST_LENGTHS = frozenset(len(path) for path in _CASTS)


def _find_cast(path: Path) -> _Cast | None:
    if len(path) not in _CAST_LENGTHS:
        return None
    for pattern, cast in _CASTS.items():
        if len(pattern) == len(path) and all(part in (_ANY, key) for part, key in zip(pattern, path, strict=True)):
            return cast
    return None


def interpolate(templates: Iterable[Template], environment: Mapping[str, str], findings: Findings) -> None:
    """Put the substituted values in place; what a variable changed is cast where its path asks for it."""
    for template in templates:
        traps: list[str] = []
        try:
            value: Any = substitute(template.text, environment, traps)
            cast = _find_cast(template.path) if value != template.text else None
            template.container[template.key] = cast(value) if cast else value
        except InterpolationError as error:
            findings.error(template.path, str(error))
        for trap in traps:
            findings.warn(template.path, trap)
