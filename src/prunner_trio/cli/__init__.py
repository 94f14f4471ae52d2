"""The command line. Importing this costs nothing: what a command needs is imported when it runs."""

__all__ = ["entry"]


def entry() -> int:
    """Run the program with the arguments of the process; return its exit status."""
    import sys

    from prunner_trio.cli.main import main

    return main(sys.argv)
