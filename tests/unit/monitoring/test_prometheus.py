from huntaze_pipeline.monitoring.metrics import Sample, one
from huntaze_pipeline.monitoring.prometheus import render


def test_a_number_is_a_gauge_with_its_meaning() -> None:
    text = render([one("QueueDepth", "Count", 3)])

    assert text.splitlines() == [
        "# HELP huntaze_queue_depth Messages that are due and not yet on an account queue",
        "# TYPE huntaze_queue_depth gauge",
        "huntaze_queue_depth 3",
    ]


def test_parts_are_shown_without_their_total_so_that_a_sum_is_right() -> None:
    parts = [one("MessagesSent", "Count", n, Platform=p) for p, n in (("email", 2), ("tiktok", 1))]

    lines = render([one("MessagesSent", "Count", 3), *parts]).splitlines()[2:]

    assert lines == [
        'huntaze_messages_sent{platform="email"} 2',
        'huntaze_messages_sent{platform="tiktok"} 1',
    ]


def test_campaigns_are_added_up_and_never_named() -> None:
    samples = [
        one("RevenueGenerated", "None", value, Creator="maya", Campaign=str(value))
        for value in (1.5, 2.5)
    ]

    text = render([*samples, one("ConversionRate", "Percent", 9, Campaign="x")])

    assert text.splitlines()[-1] == "huntaze_revenue_generated 4"
    assert "maya" not in text


def test_units_are_in_the_names_and_a_distribution_shows_its_greatest() -> None:
    text = render([Sample("QueueLatency", "Seconds", {0.1: 5, 2.5: 1})])

    assert text.splitlines()[-1] == "huntaze_queue_latency_seconds 2.5"


def test_large_numbers_keep_every_digit() -> None:
    text = render(
        [one("QueueDepth", "Count", 1_234_567), one("RevenueGenerated", "None", 98765432.19)]
    )

    assert "huntaze_queue_depth 1234567\n" in text
    assert "huntaze_revenue_generated 98765432.19\n" in text


def test_quotes_in_labels_are_escaped() -> None:
    text = render([one("BreakerOpen", "Count", 1, Platform='a"b\\c\nd')])

    assert text.splitlines()[-1] == 'huntaze_breaker_open{platform="a\\"b\\\\c\\nd"} 1'
