"""The stacks: applied, waited for, removed."""

from __future__ import annotations

import secrets
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

from scripts import engine_api
from scripts.console import Progress, Refusal
from scripts.processes import port_is_free
from scripts.shell import PROJECT, SOCKET, attempt, run, stream
from scripts.state import Made

PRODBREAKER = str(PROJECT / ".venv/bin/prodbreaker")
APPLICATION, CONTROLLER = "shop", "prodbreaker"
FOLDER = PROJECT / ".state"
# Names of secrets, not their values. The password stays in .state when the rest goes, as the database that knows it does.
TOKEN, PASSWORD, EXEMPTION, OPS = "prodbreaker_token", "postgres_password", "rate_limit_exemption", "ops_token"
SECRETS = {
    TOKEN: "the API's token",
    PASSWORD: "the database's password",
    EXEMPTION: "the key that lifts nginx's rate limit",
    OPS: "what the application's /logs asks for",
}
TOKEN_FILE = FOLDER / TOKEN
DATABASE_VOLUME = "shop_postgres-data"
_GIVE = """
[ -s "$PGDATA/PG_VERSION" ] || exit 0
read -r password || [ -n "$password" ]
echo "ALTER ROLE shop PASSWORD '$password'" | postgres --single -D "$PGDATA" shop
"""
PORTS = {APPLICATION: 8080, CONTROLLER: 8900}
PAGES = {APPLICATION: "http://127.0.0.1:8080/readyz", CONTROLLER: "http://127.0.0.1:8900/readyz"}
PATIENCE = 240.0  # seconds for all replicas to be healthy: images are pulled, three healthchecks in a row are passed


def variables(images: Mapping[str, str]) -> dict[str, str]:
    """What the manifests interpolate on this host."""
    return {**images, "DOCKER_GID": str(SOCKET.stat().st_gid), "PROJECT_DIR": str(PROJECT)}


def order(*, controller_runs: bool) -> list[str]:
    """A controller that runs reads its variables from its own service: it needs the new ones before the application gets them,
    or it would take the application back. Where none runs, nobody acts on the application while it is first applied."""
    return [CONTROLLER, APPLICATION] if controller_runs else [APPLICATION, CONTROLLER]


def ensure_secrets(made: Made, postgres: str, progress: Progress) -> None:
    """End with the secrets that the stacks name, each kept in .state, readable by root alone; `postgres` names the image."""
    status, found = engine_api.get("/secrets")
    present = {secret["Spec"]["Name"] for secret in found} if status == 200 else set()
    for name, what in SECRETS.items():
        if name in present:
            continue
        file = FOLDER / name
        progress.change(f"making {what} ({file})")
        if not file.exists():
            file.touch(mode=0o600)
            file.write_text(secrets.token_urlsafe(32))
        made.secrets.append(run("docker", "secret", "create", name, str(file), timeout=30))
        made.save()
        if name == PASSWORD and engine_api.get(f"/volumes/{DATABASE_VOLUME}")[0] == 200:
            _give_password(postgres, file.read_bytes(), progress)


def _give_password(image: str, password: bytes, progress: Progress) -> None:
    """Make the database of an earlier stack, which may know another password, take this one; the server does not run."""
    progress.change(f"giving the password to the database that is in the volume {DATABASE_VOLUME} already")
    run(
        "docker", "run", "--rm", "--interactive", "--network", "none", "--user", "999:999", "--entrypoint", "sh",
        "--volume", f"{DATABASE_VOLUME}:/var/lib/postgresql/data", image, "-c", _GIVE, stdin=password, timeout=120,
    )  # fmt: skip


def ensure(made: Made, names: Mapping[str, str], progress: Progress) -> None:
    """End with both stacks as declared, every replica healthy. Raises Refusal when they do not get there in time."""
    for stack in order(controller_runs=bool(engine_api.of_stack("services", CONTROLLER))):
        if stack not in made.stacks:
            if engine_api.of_stack("services", stack):
                raise Refusal(f"A stack named {stack} is here already, not made by make up: remove or rename it first.")
            if not port_is_free(PORTS[stack], host=""):
                raise Refusal(f"Port {PORTS[stack]} is taken by something else on this host, and stack {stack} listens there.")
            made.stacks.append(stack)
            made.save()
        apply(stack, names, progress)
        wait_until_healthy(stack, progress)


def apply(stack: str, names: Mapping[str, str], progress: Progress) -> None:
    """Make the Swarm match manifests/STACK.yml through ProdBreaker itself; its own plan says whether there is anything to do."""
    scope = ("-c", f"manifests/{stack}.yml", "--stack", stack)
    if attempt(PRODBREAKER, "plan", *scope, "--detailed-exitcode", timeout=120, env=names).returncode == 0:
        return
    progress.change(f"prodbreaker apply --stack {stack}")
    limit = ("--timeout", f"{PATIENCE:.0f}")
    stream(PRODBREAKER, "apply", *scope, *limit, timeout=PATIENCE + 60, env=names, say=lambda line: progress.note(f"  {line}"))


def wait_until_healthy(stack: str, progress: Progress) -> None:
    end = time.monotonic() + PATIENCE
    waiting = unready(engine_api.of_stack("services", stack, status="true"))
    while waiting or not _page_answers(PAGES[stack]):
        if time.monotonic() > end:
            raise Refusal(
                f"Stack {stack} is not healthy after {PATIENCE:.0f} s: {', '.join(waiting) or PAGES[stack]}{_reasons(stack)}"
            )
        time.sleep(0.5)
        waiting = unready(engine_api.of_stack("services", stack, status="true"))
    progress.note(f"stack {stack} is healthy")


def unready(services: list[dict[str, Any]]) -> list[str]:
    """The services that lack replicas, as `NAME 2/3`, or are being updated; a stack without services is not ready."""
    found = []
    for service in services:
        status = service.get("ServiceStatus") or {}
        running, wanted = status.get("RunningTasks", 0), status.get("DesiredTasks", 1)
        update = (service.get("UpdateStatus") or {}).get("State", "completed")
        if running != wanted:
            found.append(f"{service['Spec']['Name']} {running}/{wanted}")
        elif not update.endswith("completed"):
            found.append(f"{service['Spec']['Name']} {update}")
    return found if services else ["no services"]


def remove(made: Made, *, patience: float = 60.0) -> None:
    """Remove the stacks that make up applied; volumes stay. `patience` is in seconds, for each stack's tasks to go.

    The controller goes first and altogether: while it drains it would still put back what is removed.
    """
    for stack in (CONTROLLER, APPLICATION):
        if stack in made.stacks and _leftovers(stack):
            run("docker", "stack", "rm", stack, timeout=120)
            end = time.monotonic() + patience
            while _leftovers(stack) and time.monotonic() < end:
                time.sleep(0.3)
    for secret in made.secrets:
        if engine_api.get(f"/secrets/{secret}")[0] == 200:
            run("docker", "secret", "rm", secret, timeout=30)
    for name in (TOKEN, EXEMPTION, OPS):
        (FOLDER / name).unlink(missing_ok=True)
    made.stacks, made.secrets = [], []
    made.save()


def _leftovers(stack: str) -> bool:
    return any(engine_api.of_stack(kind, stack) for kind in ("services", "tasks", "networks")) or bool(
        engine_api.of_stack("containers/json", stack, all="true")
    )


def _page_answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=3) as response:  # noqa: S310 - our own two addresses
            return int(response.status) == 200
    except (OSError, urllib.error.URLError):
        return False


def _reasons(stack: str) -> str:
    """What the engine says about tasks of the stack that failed, for the one sentence that the reader gets."""
    errors = {task["Status"]["Err"] for task in engine_api.of_stack("tasks", stack) if task["Status"].get("Err")}
    return "; the engine says: " + "; ".join(sorted(errors)) if errors else ""
