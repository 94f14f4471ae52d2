"""Measures from outside: a daemon is started, driven over HTTP alone, and watched as a process."""
