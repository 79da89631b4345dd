"""One machine: the embedded servers, the platform simulator, the demo. Production uses none."""
