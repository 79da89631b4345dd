"""`huntaze lake` as a person types it."""

from typer.testing import CliRunner

from huntaze_pipeline.cli import app


def test_a_time_to_keep_that_is_none_is_told_before_anything_starts():
    result = CliRunner().invoke(app, ["lake", "care", "--keep", "soon"])
    assert result.exit_code == 2
    assert "'soon' is no duration" in result.output
