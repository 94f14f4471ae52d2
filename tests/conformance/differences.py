"""Where this project differs from prunner on purpose: the tests of prunner's quirks that it does not pass.

Each becomes a strict xfail, so a test that passes one day is reported, and its entry goes. The keys are
`file::test` for all cases of a test, or `file::test[case]`. The numbers are those in NOTES.md; docs/compatibility.md
tells users the same at greater length. Nothing but tests marked `quirk` may be listed here.
"""

DIFFERENCES = {
    "test_cancel.py::test_tasks_of_a_canceled_waiting_job_stay_waiting":
        "Q12: the tasks of a canceled job are canceled too",
    "test_dag.py::test_cycles_are_found_when_the_job_starts":
        "Q6: a cycle is an error in the file, shown at start and on reload",
    "test_definitions.py::test_lenient_files[unknown keys]":
        "Q5: an unknown key is an error with its place and a suggestion",
    "test_failures.py::test_canceling_counts_as_failure_for_on_error":
        "Q24: on_error is for failures; whoever cancels knows",
    "test_failures.py::test_status_of_tasks_behind_a_failure":
        "Q12: a task that a failure keeps from running is canceled",
    "test_scripts.py::test_text_for_an_unknown_program":
        "a real shell runs the scripts and words this message; the status is 127 as well",
    "test_shutdown.py::test_interrupt_cancels_waiting_jobs":
        "Q30: waiting jobs are kept and wait again after the start",
}
