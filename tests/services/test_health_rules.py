"""Rule sets by gRPC: the built-in one, what is refused, what is in force."""

import pytest
from google.type.decimal_pb2 import Decimal as DecimalMessage

from kejing.common.v1 import condition_pb2
from kejing.health.v1 import health_pb2, health_service_pb2
from services.shared.ids import new_id
from tests.support.health import Health, open_health
from tests.support.refusals import refused
from tests.support.services import RunningServices


@pytest.fixture
async def health(services: RunningServices) -> Health:
    return await open_health(services)


def compare(metric: str, operator: int, value: str) -> condition_pb2.Condition:
    comparison = condition_pb2.Comparison(field=metric, operator=operator, value=value)  # type: ignore[arg-type]
    return condition_pb2.Condition(comparison=comparison)


async def test_the_built_in_rules_are_the_sample_table_in_its_corrected_form(health: Health) -> None:
    rules = (await health.rules.GetRuleSet(health_service_pb2.GetRuleSetRequest())).rule_set
    assert rules.version == 1
    last = rules.excellent.all.conditions[3].comparison
    assert (last.field, last.operator, last.value) == (
        "urgent_open_tickets_7d", condition_pb2.OPERATOR_LESS_OR_EQUAL, "0",
    )  # fmt: skip
    again = health_pb2.NewRuleSet(name="sample", at_risk=rules.at_risk, excellent=rules.excellent)
    order = health_service_pb2.CreateRuleSetRequest(request_id=str(new_id()), rule_set=again)
    saved = (await health.rules.CreateRuleSet(order)).rule_set
    assert saved.version > 1
    assert not saved.HasField("published_at")
    assert (saved.minimum_data_share.value, saved.excellent, saved.at_risk) == ("0.5", rules.excellent, rules.at_risk)
    assert (await health.rules.CreateRuleSet(order)).rule_set == saved

    again.excellent.all.conditions[3].comparison.operator = condition_pb2.OPERATOR_LESS
    order = health_service_pb2.CreateRuleSetRequest(request_id=str(new_id()), rule_set=again)
    answer = await refused(health.rules.CreateRuleSet(order))
    assert (answer.code, answer.reason) == ("INVALID_ARGUMENT", "CONDITION_IMPOSSIBLE")
    assert answer.fields == ("rule_set.excellent.all.conditions[3].comparison",)
    assert "urgent_open_tickets_7d < 0" in answer.message
    assert "a whole number from 0 up" in answer.message


@pytest.mark.parametrize(
    ("at_risk", "excellent", "reason"),
    [
        (("active_ratio_14d", 2, "0.6"), ("active_ratio_14d", 5, "0.5"), "LEVELS_OVERLAP"),
        (("active_ratio_14d", 2, "0.6"), ("active_ratio_14d", 6, "1.2"), "CONDITION_IMPOSSIBLE"),
        (("mood", 2, "0.6"), ("active_ratio_14d", 5, "0.5"), "CONDITION_FIELD_UNKNOWN"),
    ],
)
async def test_rules_that_cannot_be_meant_are_refused(
    health: Health, at_risk: tuple[str, int, str], excellent: tuple[str, int, str], reason: str
) -> None:
    new = health_pb2.NewRuleSet(name="x", at_risk=compare(*at_risk), excellent=compare(*excellent))
    order = health_service_pb2.CreateRuleSetRequest(request_id=str(new_id()), rule_set=new)
    answer = await refused(health.rules.CreateRuleSet(order))
    assert (answer.code, answer.reason) == ("INVALID_ARGUMENT", reason)


async def test_contract_rules_name_the_field(health: Health) -> None:
    new = health_pb2.NewRuleSet(name="x", at_risk=compare("tickets_14d", 0, "5"), excellent=condition_pb2.Condition())
    order = health_service_pb2.CreateRuleSetRequest(request_id=str(new_id()), rule_set=new)
    answer = await refused(health.rules.CreateRuleSet(order))
    assert answer.code == "INVALID_ARGUMENT"
    assert "rule_set.at_risk.comparison.operator" in answer.fields
    new = health_pb2.NewRuleSet(
        name="x", at_risk=compare("tickets_14d", 1, "five"), excellent=compare("tickets_14d", 1, "5")
    )
    order = health_service_pb2.CreateRuleSetRequest(request_id=str(new_id()), rule_set=new)
    answer = await refused(health.rules.CreateRuleSet(order))
    assert (answer.reason, answer.fields) == ("CONDITION_VALUE_WRONG", ("rule_set.at_risk.comparison.value",))
    for share in ("much", "0", "1.1", "1e-99999"):
        new = health_pb2.NewRuleSet(
            name="x", at_risk=compare("tickets_14d", 5, "5"), excellent=compare("tickets_14d", 1, "5"),
            minimum_data_share=DecimalMessage(value=share),
        )  # fmt: skip
        order = health_service_pb2.CreateRuleSetRequest(request_id=str(new_id()), rule_set=new)
        answer = await refused(health.rules.CreateRuleSet(order))
        assert (answer.code, answer.fields) == ("INVALID_ARGUMENT", ("rule_set.minimum_data_share",))


async def test_a_published_rule_set_is_in_force_until_another_is(health: Health) -> None:
    before = (await health.rules.GetRuleSet(health_service_pb2.GetRuleSetRequest())).rule_set
    new = health_pb2.NewRuleSet(name="strict", at_risk=compare("tickets_14d", 5, "1"), excellent=before.excellent)
    new.excellent.all.conditions[2].comparison.value = "0"
    order = health_service_pb2.CreateRuleSetRequest(request_id=str(new_id()), rule_set=new)
    strict = (await health.rules.CreateRuleSet(order)).rule_set
    publish = health_service_pb2.PublishRuleSetRequest(request_id=str(new_id()), rule_set_id=strict.id)
    assert (await health.rules.PublishRuleSet(publish)).rule_set.HasField("published_at")
    assert (await health.rules.GetRuleSet(health_service_pb2.GetRuleSetRequest())).rule_set.id == strict.id
    back = health_service_pb2.PublishRuleSetRequest(request_id=str(new_id()), rule_set_id=before.id)
    await health.rules.PublishRuleSet(back)
    await health.rules.PublishRuleSet(publish)  # a repeat does nothing again
    assert (await health.rules.GetRuleSet(health_service_pb2.GetRuleSetRequest())).rule_set.id == before.id
    listed = await health.rules.ListRuleSets(health_service_pb2.ListRuleSetsRequest(page_size=1))
    assert listed.rule_sets[0].version >= strict.version
    rest = health_service_pb2.ListRuleSetsRequest(page_size=500, page_token=listed.next_page_token)
    assert (await health.rules.ListRuleSets(rest)).rule_sets[-1].version == 1
    unknown = health_service_pb2.PublishRuleSetRequest(request_id=str(new_id()), rule_set_id=str(new_id()))
    assert (await refused(health.rules.PublishRuleSet(unknown))).reason == "RULE_SET_NOT_FOUND"
