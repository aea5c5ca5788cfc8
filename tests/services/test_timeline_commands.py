"""The commands of timelines, as a person runs them."""

from datetime import datetime
from zoneinfo import ZoneInfo

from tests.support.customers import bring, by_external_id, fresh
from tests.support.services import RunningServices
from tests.support.terminal import Terminal


async def test_a_timeline_is_shown_and_dates_are_compared(services: RunningServices) -> None:
    await services.start("identity", "customers")
    terminal, key = Terminal(services), fresh("T")
    for region in ("华东", "华南", "华北"):
        await bring(services, "ImportCustomers", [{"external_id": key, "name": key, "region": region}])
    customer_id = (await by_external_id(services, key)).id
    await terminal.answer("customer", "tag", "vip", customer_id)

    shown = await terminal.answer("timeline", customer_id)
    assert "changed ×2" in shown
    assert "region: 华南 → 华北" in shown
    assert "tagged" in await terminal.answer("timeline", customer_id, "--kind", "tag", "--kind", "owner")
    one_by_one = await terminal.json("timeline", customer_id, "--unfolded", "--kind", "attributes")
    assert [entry["changes"][0]["after"] for entry in one_by_one["entries"]] == ["华北", "华南"]
    assert "more: --page" in await terminal.answer("timeline", customer_id, "-n", "1")

    today = f"{datetime.now(ZoneInfo('Asia/Shanghai')).date()}"
    compared = await terminal.json("customers", "compare", customer_id, today, today)
    assert compared["second"]["fields"]["region"] == "华北"
    code, _, error = await terminal.run("customers", "compare", customer_id, "yesterday", today)
    assert (code, "must be a date as YYYY-MM-DD" in error) == (1, True)
