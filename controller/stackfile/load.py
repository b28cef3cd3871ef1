"""From files to the desired state: read, interpolate, check, merge, convert; each step reports all that it finds."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping, Sequence

from controller.errors import ManifestError
from controller.model.problem import Problem
from controller.model.spec import DesiredService, DesiredStack
from controller.stackfile.contents import convert_contents
from controller.stackfile.convert import convert_service
from controller.stackfile.dependencies import check_dependencies
from controller.stackfile.document import Document, Inputs, load_document
from controller.stackfile.merge import merge_objects, merge_services
from controller.stackfile.names import Namespace, service_name_fault
from controller.stackfile.networks import convert_networks, used_networks
from controller.stackfile.paths import Folders, clean
from controller.stackfile.policy import EXTENSION, service_policy, stack_policy
from controller.stackfile.problems import Findings
from controller.stackfile.stack import Stack
from controller.stackfile.traps import warn_of_service
from controller.stackfile.tree import Data

STDIN = "-"


def load_stack(
    files: Sequence[str],
    *,
    stack: str,
    environment: Mapping[str, str],
    read_file: Callable[[str], bytes],
    working_directory: str,
    home: str,
) -> DesiredStack:
    """Read the files in their order into what `docker stack deploy` would create.

    `-` stands for standard input. `read_file` gets absolute paths, or `-`, and raises OSError. Raises ManifestError with
    every problem that the step which failed has found; later steps run on what earlier ones could read.
    """
    if not files:
        raise ManifestError([Problem("", 1, 1, "", "no stack file is given")])
    if not stack.strip():
        raise ManifestError([Problem(files[0], 1, 1, "", "the stack has no name")])
    seen: dict[str, bytes] = {}  # one load sees one state of each file, however many services share it

    def read(path: str) -> bytes:
        if path not in seen:
            seen[path] = read_file(path)
        return seen[path]

    first = files[0]
    base = working_directory if first == STDIN else posixpath.dirname(_absolute(first, working_directory))
    inputs = Inputs(environment=environment, read=read, folders=Folders(base=clean(base), home=home))
    documents = _load_documents(files, working_directory, inputs)
    merged = _merge(documents, stack)
    return _convert(merged, inputs, lambda: tuple(path for path in seen if path != STDIN))


def _absolute(file: str, working_directory: str) -> str:
    return file if file == STDIN else clean(posixpath.join(working_directory, file))


def _load_documents(files: Sequence[str], working_directory: str, inputs: Inputs) -> list[Document]:
    documents: list[Document] = []
    problems: list[Problem] = []
    for file in files:
        try:
            documents.append(load_document(file, _absolute(file, working_directory), inputs))
        except ManifestError as error:
            problems.extend(error.problems)
        else:
            problems.extend(documents[-1].findings.errors)
    if len(documents) < len(files):
        raise ManifestError(problems)
    return documents


def _merge(documents: Sequence[Document], name: str) -> Stack:
    findings = Findings([document.source for document in documents])
    base = documents[0]
    sections = base.sections
    for document in documents[1:]:
        if document.version != base.version:
            document.findings.error(("version",), f"is 3.{document.version}, but the first file's is 3.{base.version}")
        if document.extension:
            document.findings.warn((EXTENSION,), "is read only in the first file", at_key=True)
        sections = {
            section: (merge_services if section == "services" else merge_objects)(entries, document.sections[section])
            for section, entries in sections.items()
        }
    for document in documents:
        findings.adopt(document.findings)
    broken = frozenset(path for document in documents for path in document.broken)
    return Stack(namespace=Namespace(name), **sections, extension=base.extension, broken=broken, findings=findings)


def _convert(stack: Stack, inputs: Inputs, files: Callable[[], tuple[str, ...]]) -> DesiredStack:
    findings = stack.findings
    sound = {key: service for key, service in stack.services.items() if ("services", key) not in stack.broken}
    networks = convert_networks(used_networks(sound.values()), stack.networks, stack.namespace)
    configs = convert_contents("configs", stack.configs, stack, read=inputs.read)
    secrets = convert_contents("secrets", stack.secrets, stack, read=inputs.read)
    services = {key: _desired_service(key, service, stack) for key, service in sound.items()}
    check_dependencies(sound, stack)
    findings.raise_errors()
    return DesiredStack(
        name=stack.namespace.stack,
        services=services,
        networks=networks,
        configs=configs,
        secrets=secrets,
        policy=stack_policy(stack.extension),
        warnings=tuple(findings.in_order(findings.warnings)),
        files=files(),
    )


def _desired_service(key: str, service: Data, stack: Stack) -> DesiredService:
    name = stack.namespace.scope(key)
    if reason := service_name_fault(name):
        stack.findings.error(("services", key), reason, at_key=True)
    warn_of_service(key, service, stack.findings)
    return DesiredService(
        key=key,
        name=name,
        body=convert_service(key, service, stack),
        depends_on=tuple(service.get("depends_on", ())),
        policy=service_policy(service.get(EXTENSION, {})),
    )
