"""Settings for all tests."""

import signal

from hypothesis import HealthCheck, settings

# How fast examples are made says more about the machine (and about a first run, which builds tables of characters) than
# about the code; no test here is about time.
settings.register_profile("ours", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ours")

# A shell's background job has SIGINT ignored, and every process of a test would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
