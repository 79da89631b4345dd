"""One machine: the embedded servers, the platform simulator and the demo. Production uses none of it."""
