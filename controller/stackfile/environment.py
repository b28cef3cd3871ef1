"""A service's environment: its env files, then `environment`, with gaps filled from the process environment."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from controller.stackfile.problems import Findings, Path
from controller.stackfile.tree import Data

Variables = dict[str, str | None]
ReadText = Callable[[str], bytes]

_BLANKS = " \t\n\v\f\r\x85\xa0"


def fold_environment(
    service: Data, path: Path, *, environment: Mapping[str, str], read: Callable[[str], bytes], findings: Findings
) -> Variables | None:
    """Join env files and `environment`; later files win, `environment` wins over files. None where neither is given.

    A value that is absent or empty is taken from the process environment when that has a variable of the name.
    """
    if "environment" not in service and "env_file" not in service:
        return None
    from_files: Variables = {}
    for index, file in enumerate(service.get("env_file", ())):
        place = (*path, "env_file", index)
        try:
            from_files.update(parse_env_file(read(file), environment))
        except OSError as error:
            findings.error(place, f"{file} cannot be read: {error.strerror or error}")
        except ValueError as error:
            findings.error(place, f"{file} {error}")
    result: Variables = {}
    for variables in (from_files, service.get("environment", {})):
        for name, value in variables.items():
            result[name] = value or environment.get(name, value)
    return result


def parse_env_file(data: bytes, environment: Mapping[str, str]) -> Variables:
    """Read `K=V` lines; quotes, trailing blanks and comments behind a value belong to it.

    A name alone takes its value from the process environment, or is dropped. Raises ValueError with line and reason.
    """
    variables: Variables = {}
    for number, raw in enumerate(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        try:
            line = raw.removesuffix(b"\r").decode().lstrip(_BLANKS)
        except UnicodeDecodeError:
            raise ValueError(f"line {number}: is not valid UTF-8") from None
        if not line or line.startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if not name:
            raise ValueError(f"line {number}: there is no variable before the =")
        if any(blank in name for blank in _BLANKS):
            raise ValueError(f"line {number}: the variable {name!r} holds a blank")
        if equals:
            variables[name] = value
        elif name in environment:
            variables[name] = environment[name]
    return variables
