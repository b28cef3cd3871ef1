"""How much memory a large file takes, where it comes in and where it is imported."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from tests.app.imports.desk import Desk
from tests.app.imports.test_crashes import Worker, start_worker
from tests.app.imports.test_intake import gunicorn
from tests.app.test_gunicorn import Gunicorn
from tests.support.processes import descendants, wait_until

__all__ = ["gunicorn", "start_worker"]  # fixtures

MEBIBYTE = 1024 * 1024
ROWS = 60_000


def kibibytes(pid: int, name: str) -> int:
    """VmRSS is what a process has in memory, VmHWM the most that it ever had."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(f"{name}:"))


def file_of(size: int) -> bytes:
    """Events, one in a hundred of them bad, all together about `size` bytes."""
    details = '"{""note"": ""' + "x" * (size // ROWS - 40) + '""}"'
    return ("event_type,details\n" + "".join(f"seen,{details if n % 100 else '[]'}\n" for n in range(ROWS))).encode()


def test_a_large_form_is_taken_in_and_imported_in_bounded_memory(
    desk: Desk, gunicorn: Gunicorn, start_worker: Callable[[], Worker]
) -> None:
    head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="events.csv"\r\n\r\n'
    body = head + file_of(48 * MEBIBYTE) + b"\r\n--x--\r\n"
    gunicorn.ask("GET", "/imports")
    web = {pid: kibibytes(pid, "VmRSS") for pid in descendants([gunicorn.process.pid])}
    with closing(http.client.HTTPConnection("127.0.0.1", gunicorn.port, timeout=60)) as connection:
        connection.request("POST", "/imports?kind=events", body, {"Content-Type": "multipart/form-data; boundary=x"})
        answer = connection.getresponse()
        job = json.load(answer)
    assert (answer.status, job["bytes"] > 45 * MEBIBYTE) == (202, True)
    grown = {pid: kibibytes(pid, "VmHWM") - before for pid, before in web.items()}
    assert max(grown.values()) < 24 * 1024

    path = f"/imports/{job['id']}"
    small = desk.sent("event_type\nseen\n", "events")  # what a worker needs for any import is no matter of the file's size
    desk.run("UPDATE import_job SET lease_until = now() + interval '1 hour' WHERE id = %s", job["id"])
    worker = start_worker()
    assert wait_until(lambda: desk.job(small)["status"] == "done", seconds=60)
    idle = kibibytes(worker.process.pid, "VmRSS")
    desk.hurry()
    assert wait_until(lambda: desk.job(path)["ended_at"] is not None, seconds=120, pause=0.1)
    assert desk.counts(path) == {"inserted": ROWS - ROWS // 100, "rejected": ROWS // 100}
    assert kibibytes(worker.process.pid, "VmHWM") - idle < 64 * 1024
