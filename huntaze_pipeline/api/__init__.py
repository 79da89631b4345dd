"""The HTTP door: routes that validate, call the same functions as the sensors, and answer."""
