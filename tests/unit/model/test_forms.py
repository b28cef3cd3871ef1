"""What programs read: the keys are a promise."""

from __future__ import annotations

import json

from controller.model.forms import plan_form, status_form
from controller.model.plan import Action, Change, Notice, ObjectKind, Plan, Reason, Restart, Verb
from controller.model.status import Health, ServiceStatus, Sync


def test_a_plan_is_told_without_ids_versions_and_bodies() -> None:
    action = Action(
        Verb.UPDATE, ObjectKind.SERVICE, "shop_web", Reason.DRIFT, changes=(Change("image", "a:1", "a:2"),),
        restart=Restart.ROLLING, after=("shop_db",), object_id="id", version=4, body={"Env": ["A=S3CR3T"]},
    )  # fmt: skip
    notice = Notice(ObjectKind.NETWORK, "front", Reason.WAITS, "is missing", (Change("driver", None, "overlay"),))

    form = plan_form(Plan("shop", (action,), (notice,)))

    assert form == {
        "stack": "shop",
        "actions": [
            {
                "verb": "update",
                "kind": "service",
                "name": "shop_web",
                "reason": "drift",
                "restart": "rolling",
                "after": ["shop_db"],
                "changes": [{"field": "image", "old": "a:1", "new": "a:2"}],
            }
        ],
        "notices": [
            {
                "kind": "network",
                "name": "front",
                "reason": "waits for what it depends on",
                "message": "is missing",
                "changes": [{"field": "driver", "old": None, "new": "overlay"}],
            }
        ],
    }
    assert json.loads(json.dumps(form)) == form


def test_a_status_is_told_in_argo_cds_words() -> None:
    form = status_form(ServiceStatus("shop_web", Sync.OUT_OF_SYNC, Health.PROGRESSING, 1, 3, "1 of 3 replicas run"))

    assert form == {
        "name": "shop_web",
        "sync": "OutOfSync",
        "health": "Progressing",
        "running": 1,
        "desired": 3,
        "message": "1 of 3 replicas run",
    }
