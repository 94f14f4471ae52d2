"""Measures of single parts of our code, without a daemon around them: where the time of the others goes.

Each runs in a process of its own, so that none meets the heap, the signals or the control group that another has left.
"""
