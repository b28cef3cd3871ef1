"""gunicorn's settings; see https://docs.gunicorn.org/en/stable/settings.html."""

bind = "0.0.0.0:8000"
worker_class = "gthread"
workers = 2
threads = 4
# The root file system is read-only: heartbeats go to memory, and the control socket (on by default since 25.1) has no place.
worker_tmp_dir = "/dev/shm"  # noqa: S108 - a tmpfs of this container alone
control_socket_disable = True
# Longer than nginx keeps an idle connection, so that nginx is always the side that closes it.
keepalive = 75
graceful_timeout = 10
timeout = 30
# Its own few lines look like ours; requests are logged by the application, which knows their route.
logconfig_dict = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "app.access_log.JsonFormatter"}},
    "handlers": {"stdout": {"class": "logging.StreamHandler", "formatter": "json", "stream": "ext://sys.stdout"}},
    "root": {"level": "WARNING", "handlers": ["stdout"]},
    "loggers": {"gunicorn.error": {"level": "INFO", "handlers": ["stdout"], "propagate": False}},
}
