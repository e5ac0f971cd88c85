"""Runs commands; a failure shows the command, its exit code and its output."""

import shlex
import subprocess
import time

# Seconds. An idle machine does these things at once; a starved one does them within this time.
PATIENCE = 90


class CommandFailed(AssertionError):
    """A command ended with another code than expected; the message has its output."""

    def __init__(self, argv, code, stdout, stderr):
        self.code = code
        self.stdout = stdout
        self.stderr = stderr
        super().__init__(
            f"{shlex.join(map(str, argv))}\nended with {code}\n--- stdout\n{stdout}\n--- stderr\n{stderr}"
        )


def run(*command, check=True, timeout=PATIENCE, stdin=None):
    """Runs a command to its end. Raises CommandFailed after `timeout` or, if `check` is set, at a code other than 0."""
    argv = [str(word) for word in command]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=timeout, input=stdin)
    except subprocess.TimeoutExpired as expired:
        out, err = ((s or b"").decode(errors="replace") for s in (expired.stdout, expired.stderr))
        raise CommandFailed(argv, f"no end within {timeout} s", out, err) from None
    if check and done.returncode != 0:
        raise CommandFailed(argv, done.returncode, done.stdout, done.stderr)
    return done


def wait_until(condition, what="condition", timeout=PATIENCE, every=0.05):
    """Waits until condition() is true, and returns its value. Raises AssertionError with the last value at the timeout.
    `what` is the text of that error, or a function that makes it."""
    deadline = time.monotonic() + timeout
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > deadline:
            words = what() if callable(what) else what
            raise AssertionError(f"{words}: not within {timeout} s (last answer: {answer!r})")
        time.sleep(every)
