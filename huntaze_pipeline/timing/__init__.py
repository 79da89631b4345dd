"""Time as a source of events: schedules, anniversaries and silences become rows of the inbox."""
