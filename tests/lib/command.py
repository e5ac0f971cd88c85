"""Running commands so that a failure says all there is to know."""

import shlex
import subprocess
import time


class CommandFailed(AssertionError):
    """A command ended otherwise than it should have; the message has its output."""

    def __init__(self, argv, code, stdout, stderr):
        self.code = code
        self.stdout = stdout
        self.stderr = stderr
        super().__init__(
            f"{shlex.join(map(str, argv))}\nended with {code}\n--- stdout\n{stdout}\n--- stderr\n{stderr}"
        )


def run(*argv, check=True, timeout=60, stdin=None):
    """Runs to the end; CommandFailed unless it ends with 0 (or `check` is false)."""
    argv = [str(arg) for arg in argv]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=timeout, input=stdin)
    except subprocess.TimeoutExpired as expired:
        out, err = ((s or b"").decode(errors="replace") for s in (expired.stdout, expired.stderr))
        raise CommandFailed(argv, f"no end within {timeout} s", out, err) from None
    if check and done.returncode != 0:
        raise CommandFailed(argv, done.returncode, done.stdout, done.stderr)
    return done


def wait_until(condition, timeout=10, what="condition", every=0.05):
    """Asks until the answer is true, and returns it; AssertionError with the last answer at the timeout."""
    deadline = time.monotonic() + timeout
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {timeout} s (last answer: {answer!r})")
        time.sleep(every)
