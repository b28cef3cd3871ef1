"""gunicorn's settings; see https://docs.gunicorn.org/en/stable/settings.html."""

import os

from app.settings import Settings
from app.telemetry import folder

settings = Settings.of(os.environ)
folder.prepare()

import app.factory  # noqa: E402, F401 - here, so that workers are forked with everything imported
from app import gunicorn_hooks as hooks  # noqa: E402 - prometheus_client looks for the folder when it is imported
from app.gunicorn_worker import Worker  # noqa: E402 - as above

bind = "0.0.0.0:8000"
worker_class = Worker
Worker.patience = min(Worker.patience, settings.client_seconds)
workers = settings.workers
threads = settings.threads
# The root file system is read-only: heartbeats go to memory, and the control socket (on by default since 25.1) has no place.
worker_tmp_dir = "/dev/shm"  # noqa: S108 - a tmpfs of this container alone
control_socket_disable = True
# Longer than nginx keeps an idle connection, so that nginx is always the side that closes it.
keepalive = 75
graceful_timeout = 10
timeout = 30
when_ready = hooks.when_ready(settings)
child_exit = hooks.child_exit
on_exit = hooks.on_exit
# Its own few lines look like ours; requests are logged by the application, which knows their route.
logconfig_dict = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "app.access_log.JsonFormatter", "replica": settings.replica, "version": settings.version}},
    "handlers": {"stdout": {"class": "app.access_log.LineHandler", "formatter": "json"}},
    "root": {"level": "WARNING", "handlers": ["stdout"]},
    "loggers": {"gunicorn.error": {"level": "INFO", "handlers": ["stdout"], "propagate": False}},
}
