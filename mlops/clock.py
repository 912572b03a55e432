"""The one place that asks what time it is, so that everything else takes the time as an argument."""

from __future__ import annotations

from datetime import UTC, datetime

from mlops.exceptions import SettingsError


def now() -> datetime:
    """Return the present moment, UTC."""
    return datetime.now(UTC)


def parse_as_of(text: str | None) -> datetime:
    """Return the moment that `text` names: ISO 8601, UTC where it has no offset, the end of the day where it is a date.

    None means now. Raises SettingsError where the text is no date or time.
    """
    if text is None:
        return now()
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise SettingsError(
            f"{text!r} is not a date or time. Write it as 2017-06-30 or 2017-06-30T20:00:00+00:00."
        ) from error
    if len(text) <= len("2017-06-30"):
        moment = moment.replace(hour=23, minute=59, second=59, microsecond=999999)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
