"""Running commands so that a failure says all there is to know."""

import shlex
import subprocess
import time

# Seconds for what happens at once on an idle machine. None of these waits decides a test on one that is starved.
PATIENCE = 90


class CommandFailed(AssertionError):
    """A command ended otherwise than it should have; the message has its output."""

    def __init__(self, argv, code, stdout, stderr):
        self.code = code
        self.stdout = stdout
        self.stderr = stderr
        super().__init__(
            f"{shlex.join(map(str, argv))}\nended with {code}\n--- stdout\n{stdout}\n--- stderr\n{stderr}"
        )


def run(*command, check=True, timeout=PATIENCE, stdin=None):
    """Runs to the end; CommandFailed unless it ends with 0 (or `check` is false)."""
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
    """Asks until the answer is true, and returns it; AssertionError with the last answer at the timeout. `what` is
    text, or says it when it is needed."""
    deadline = time.monotonic() + timeout
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > deadline:
            words = what() if callable(what) else what
            raise AssertionError(f"{words}: not within {timeout} s (last answer: {answer!r})")
        time.sleep(every)
