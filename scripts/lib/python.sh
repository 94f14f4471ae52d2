# Sourced by the scripts above; needs $root. Finds a Python that can make virtual environments, says so if there is none.

usable_python() {
    "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1
}

can_make_environments() {
    "$1" -c 'import ensurepip, venv' >/dev/null 2>&1
}

# Prints the Python to run the set-up with: that of .venv if there is one, $PYTHON, or the newest one on the PATH.
find_python() {
    if usable_python "$root/.venv/bin/python"; then
        printf '%s\n' "$root/.venv/bin/python"
        return
    fi
    without_venv=
    if [ -n "${PYTHON:-}" ]; then
        set -- "$PYTHON"
    else
        set -- python3.13 python3.12 python3.11 python3
    fi
    for candidate in "$@"; do
        usable_python "$candidate" || continue
        if can_make_environments "$candidate"; then
            command -v "$candidate"
            return
        fi
        without_venv=${without_venv:-$candidate}
    done
    if [ -n "$without_venv" ]; then
        version=$("$without_venv" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
        echo "$without_venv cannot make virtual environments; install its venv module, for example: apt-get install python$version-venv" >&2
    elif [ -n "${PYTHON:-}" ]; then
        echo "PYTHON=$PYTHON is not a Python 3.11, 3.12 or 3.13 that runs" >&2
    else
        echo "no Python 3.11, 3.12 or 3.13 found; install one, for example: apt-get install python3 python3-venv, or say PYTHON=/path/to/python" >&2
    fi
    return 1
}
