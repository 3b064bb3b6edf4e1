"""A session's telemetry in a few lines."""

from neuro_cli.telemetry.cost import Cost
from neuro_cli.telemetry.session import Recorded
from neuro_cli.terminal.words import counted

_LOST = ("lost", "refused")  # outcomes of `lambda_collector.items`


def telemetry_lines(recorded: Recorded, warm: Cost | None) -> list[str]:
    """What came, what is missing, and what it cost: a scan in warm functions, and all of it."""
    recording, totals = recorded.recording, recorded.recording.totals
    if not recording.span_count:
        return ["telemetry    none was received"]
    dropped = totals.total("lambda_otel.dropped") + sum(
        totals.total("lambda_collector.items", outcome=outcome) for outcome in _LOST
    )
    received = ", ".join(
        (
            counted(recording.span_count, "span"),
            counted(recording.log_count, "log record"),
            counted(totals.point_count, "metric point"),
        )
    )
    cold_starts = sum(
        span.attributes.get("faas.coldstart") is True and "faas.invocation_id" in span.attributes
        for span in recording.spans()
    )
    lines = [f"telemetry    {received}; dropped {dropped:.0f}; {counted(cold_starts, 'cold start')}"]
    running = None if warm is None else warm.running_share
    whole = None if recorded.cost is None else recorded.cost.whole_share
    if running is not None and whole is not None:
        lines.append(
            f"its cost     {_percent(running)} of the CPU time of a scan in warm functions; "
            f"{_percent(whole)} of all, cold starts included"
        )
    return lines


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"
