"""Business dates are those of the business time zone."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from services.shared.clock import business_date, end_of_day, start_of_day

SHANGHAI = ZoneInfo("Asia/Shanghai")
ZONES = st.sampled_from([SHANGHAI, ZoneInfo("UTC"), ZoneInfo("America/New_York"), ZoneInfo("Australia/Lord_Howe")])


def test_the_date_changes_at_midnight_in_shanghai_not_in_utc() -> None:
    assert business_date(datetime(2026, 3, 1, 15, 59, 59, tzinfo=UTC), SHANGHAI) == date(2026, 3, 1)
    assert business_date(datetime(2026, 3, 1, 16, 0, 0, tzinfo=UTC), SHANGHAI) == date(2026, 3, 2)


@given(st.dates(min_value=date(1990, 1, 1), max_value=date(2100, 1, 1)), ZONES)
def test_a_day_lies_between_its_start_and_its_end(day: date, zone: ZoneInfo) -> None:
    assert business_date(start_of_day(day, zone), zone) == day
    assert business_date(end_of_day(day, zone), zone) == date.fromordinal(day.toordinal() + 1)
    assert 23 <= (end_of_day(day, zone) - start_of_day(day, zone)).total_seconds() / 3600 <= 25
