"""What counts against a revision: it holds now, long enough, and was known to be quiet before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.core.signals import Answers, Reading, held_since, noise_of, queries, weigh
from controller.model.policy import AlertAction, AlertRule, Condition, RollbackPolicy, ServicePolicy

ERRORS = "rate(errors_total[1m]) > 0.05"
SLOW = "latency_seconds > 1"
HIGH = {"alertname": "WebHighErrorRate", "service": "web", "instance": "10.0.0.1"}
RULE = AlertRule(match={"alertname": "WebHighErrorRate"}, action=AlertAction.ROLLBACK)


def policy(*conditions: Condition, alerts: Sequence[AlertRule] = ()) -> ServicePolicy:
    return ServicePolicy(rollback=RollbackPolicy(conditions=conditions), alerts=tuple(alerts))


def read(
    given: ServicePolicy,
    answers: Answers,
    *,
    noise: Sequence[str] = (),
    before: Mapping[str, float] | None = None,
    now: float = 100.0,
) -> Reading:
    since = held_since(given, answers, before=before or {}, now=now)
    return weigh(given, answers, noise=noise, since=since, now=now)


def names(given: ServicePolicy, answers: Answers) -> tuple[str, ...]:
    return noise_of(given, answers)


def test_without_conditions_and_rules_nothing_is_asked_and_nothing_said() -> None:
    assert queries(policy()) == ()
    assert read(policy(), Answers({}, [HIGH])) == read(policy(), Answers({}, None)) == Reading()


def test_a_query_that_stands_twice_is_asked_once_and_counts_under_its_first_place() -> None:
    twice = policy(Condition(ERRORS), Condition(SLOW), Condition(ERRORS, timedelta(minutes=1)))

    assert queries(twice) == (ERRORS, SLOW)
    reading = read(twice, Answers({ERRORS: True, SLOW: False}))
    assert reading.evidence == (f"condition 1 holds: {ERRORS}",)
    assert reading.doubts == (f"condition 3 holds: {ERRORS}",)
    assert len(reading.held) == 1


def test_a_condition_that_holds_is_evidence_and_says_for_how_long() -> None:
    web = policy(Condition(SLOW), Condition(ERRORS))
    answers = Answers({SLOW: False, ERRORS: True})
    (name,) = names(web, answers)

    assert read(web, answers).evidence == (f"condition 2 holds: {ERRORS}",)
    assert read(web, answers, before={name: 87.5}).evidence == (f"condition 2 holds for 12 s: {ERRORS}",)


def test_a_condition_counts_only_after_its_time_and_until_then_is_a_doubt() -> None:
    web = policy(Condition(ERRORS, timedelta(seconds=30)))
    answers = Answers({ERRORS: True})
    (name,) = names(web, answers)

    early, due = read(web, answers, before={name: 70.1}), read(web, answers, before={name: 70.0})

    assert (early.evidence, early.doubts) == ((), (f"condition 1 holds for 29 s: {ERRORS}",))
    assert (due.evidence, due.doubts) == ((f"condition 1 holds for 30 s: {ERRORS}",), ())


def test_what_held_before_the_revision_does_not_count_and_still_shows_as_held() -> None:
    web = policy(Condition(ERRORS), Condition(SLOW), alerts=[RULE])
    noise = noise_of(web, Answers({ERRORS: True, SLOW: False}, [HIGH]))

    reading = read(web, Answers({ERRORS: True, SLOW: True}, [HIGH]), noise=noise)

    assert reading.evidence == (f"condition 2 holds: {SLOW}",)
    assert reading.doubts == ()
    assert reading.held > set(noise)


def test_an_alert_that_fires_is_evidence_where_a_rule_rolls_back() -> None:
    assert read(policy(alerts=[RULE]), Answers({}, [HIGH])).evidence == ("alert WebHighErrorRate fires",)


@pytest.mark.parametrize("action", sorted(set(AlertAction) - {AlertAction.ROLLBACK}))
def test_an_alert_of_another_action_is_a_doubt(action: AlertAction) -> None:
    reading = read(policy(alerts=[AlertRule(match=RULE.match, action=action)]), Answers({}, [HIGH]))

    assert (reading.evidence, reading.doubts) == ((), ("alert WebHighErrorRate fires",))


@pytest.mark.parametrize(
    ("match", "fits"),
    [
        ({"alertname": "WebHighErrorRate", "service": "web"}, True),
        ({"service": "web"}, True),
        ({"alertname": "WebHighErrorRate", "service": "db"}, False),
        ({"alertname": "WebHighErrorRate", "severity": "page"}, False),
        ({"service": "web", "severity": ""}, True),
        ({"service": "we"}, False),
    ],
)
def test_an_alert_fits_when_every_label_of_the_match_is_equal(match: Mapping[str, str], fits: bool) -> None:
    reading = read(policy(alerts=[AlertRule(match=match, action=AlertAction.ROLLBACK)]), Answers({}, [HIGH]))

    assert bool(reading.evidence) is bool(reading.held) is fits


def test_an_alert_of_many_instances_and_two_rules_is_told_once() -> None:
    rules = [RULE, AlertRule(match={"service": "web"}, action=AlertAction.ROLLBACK)]
    others = [{**HIGH, "instance": f"10.0.0.{number}"} for number in range(2, 9)]

    reading = read(policy(alerts=rules), Answers({}, [HIGH, *others]))

    assert reading.evidence == ("alert WebHighErrorRate fires",)
    assert len(reading.held) == 2


def test_a_noisy_alert_stays_noise_when_new_tasks_give_it_other_labels() -> None:
    web = policy(alerts=[RULE])
    noise = noise_of(web, Answers({}, [HIGH]))

    assert read(web, Answers({}, [{**HIGH, "instance": "10.0.0.9"}]), noise=noise).evidence == ()


def test_another_alert_of_a_wide_rule_counts_beside_a_noisy_one() -> None:
    web = policy(alerts=[AlertRule(match={"service": "web"}, action=AlertAction.ROLLBACK)])
    noise = noise_of(web, Answers({}, [HIGH]))

    assert read(web, Answers({}, [HIGH, {"alertname": "Slow", "service": "web"}]), noise=noise).evidence == ("alert Slow fires",)


def test_no_answer_is_no_evidence_and_not_conclusive() -> None:
    web = policy(Condition(ERRORS), Condition(SLOW), alerts=[RULE])

    for answers in (
        Answers({ERRORS: None, SLOW: False}, []),
        Answers({SLOW: False}, []),
        Answers({ERRORS: False, SLOW: False}, None),
        Answers({}, None),
    ):
        assert read(web, answers) == Reading(conclusive=False)
    assert read(web, Answers({ERRORS: False, SLOW: False}, [])) == Reading(conclusive=True)


def test_what_does_answer_counts_beside_what_does_not() -> None:
    web = policy(Condition(ERRORS), Condition(SLOW), alerts=[RULE])

    reading = read(web, Answers({ERRORS: True}, None))

    assert (reading.evidence, reading.conclusive) == ((f"condition 1 holds: {ERRORS}",), False)


def test_what_gave_no_answer_before_the_revision_is_no_news_after_it() -> None:
    web = policy(Condition(ERRORS), Condition(SLOW), alerts=[RULE])
    late = Answers({ERRORS: True, SLOW: True}, [HIGH])

    assert read(web, late, noise=noise_of(web, Answers({SLOW: False}, []))).evidence == (
        f"condition 2 holds: {SLOW}",
        "alert WebHighErrorRate fires",
    )
    noise = noise_of(web, Answers({ERRORS: False, SLOW: False}, None))
    assert read(web, late, noise=noise).evidence == (f"condition 1 holds: {ERRORS}", f"condition 2 holds: {SLOW}")


def test_time_runs_while_it_holds_and_begins_anew_after_quiet_or_no_answer() -> None:
    web = policy(Condition(ERRORS))
    (name,) = names(web, Answers({ERRORS: True}))

    since = held_since(web, Answers({ERRORS: True}), before={}, now=10.0)
    assert since == held_since(web, Answers({ERRORS: True}), before=since, now=20.0) == {name: 10.0}
    assert held_since(web, Answers({ERRORS: False}), before=since, now=30.0) == {}
    assert held_since(web, Answers({ERRORS: None}), before=since, now=30.0) == {}


def test_names_fit_a_label_and_stay_the_same_for_ever() -> None:
    """They are kept in the Swarm and read by later versions."""
    rules = [AlertRule(match={"a": "1", "b": "2"}), AlertRule(match={"b": "2", "a": "1"})]
    alerts = [{"a": "1", "b": "2", "alertname": "x, y = \n"}, {"a": "1", "b": "2"}]

    found = [noise_of(policy(Condition(ERRORS), alerts=[rule]), Answers({ERRORS: True}, alerts)) for rule in rules]

    assert found[0] == found[1]
    assert found[0] == ("alert-0e09eeab-a6a6c6ec", "alert-0e09eeab-e3b0c442", "condition-6e366b2d")


def test_texts_are_one_short_line() -> None:
    long = "sum(\n  rate(errors_total[1m])\n) > " + "1" * 500
    web = policy(Condition(long), alerts=[AlertRule(match={"a": ""}, action=AlertAction.ROLLBACK)])

    for text in read(web, Answers({long: True}, [{"alertname": "many\nlines " * 50}])).evidence:
        assert "\n" not in text
        assert len(text) < 160
        assert text.partition("…")[2] in ("", " fires")


_LABELS = st.dictionaries(st.sampled_from(["alertname", "service", "severity"]), st.sampled_from(["", "a", "b"]))
_RULES = st.builds(AlertRule, match=_LABELS, action=st.sampled_from(AlertAction), wait=st.just(timedelta(0)))
_POLICIES = st.builds(
    lambda conditions, alerts: policy(*conditions, alerts=alerts),
    st.lists(st.builds(Condition, st.sampled_from([ERRORS, SLOW])), max_size=3),
    st.lists(_RULES, max_size=3),
)
_ANSWERS = st.builds(
    Answers,
    st.dictionaries(st.sampled_from([ERRORS, SLOW]), st.sampled_from([True, False, None])),
    st.none() | st.lists(_LABELS, max_size=3),
)


@given(_POLICIES, _ANSWERS)
def test_a_state_of_things_is_never_evidence_against_itself(given: ServicePolicy, answers: Answers) -> None:
    noise = noise_of(given, answers)

    reading = read(given, answers, noise=noise)

    assert (reading.evidence, reading.doubts) == ((), ())
    assert reading.held <= set(noise)


@given(_POLICIES, _ANSWERS, _ANSWERS)
def test_evidence_is_only_what_was_known_to_be_quiet_and_holds(given: ServicePolicy, then: Answers, now: Answers) -> None:
    reading = read(given, now, noise=noise_of(given, then))

    conditions = {c.query for c in given.rollback.conditions if then.holds.get(c.query) is False and now.holds.get(c.query)}
    assert {text.partition(": ")[2] for text in reading.evidence if text.startswith("condition")} == conditions
    if then.alerts is None or now.alerts is None:
        assert not [text for text in (*reading.evidence, *reading.doubts) if text.startswith("alert")]
