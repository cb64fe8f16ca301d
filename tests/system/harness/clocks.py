"""Wall clocks that a test moves while programs run on them: clock_shift.c, preloaded."""
import os
import pathlib
import struct
import subprocess

SOURCE = pathlib.Path(__file__).parent / "clock_shift.c"


def build(directory):
    """Compiles the library; its path."""
    library = pathlib.Path(directory) / "clock_shift.so"
    if not library.exists():
        subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-o", str(library), str(SOURCE), "-ldl"],
                       check=True, capture_output=True, timeout=60)
        library.chmod(0o755)
    return library


class Clock:
    """One that some programs share: those started with `environment`."""

    def __init__(self, directory, name="clock"):
        self.file = pathlib.Path(directory) / name
        self.file.write_bytes(bytes(8))
        self.file.chmod(0o644)
        # AddressSanitizer wants to be the first library of all, and may be told that it need not.
        self.environment = {"LD_PRELOAD": str(build(directory)), "CLOCK_SHIFT": str(self.file),
                            "ASAN_OPTIONS": ":".join(filter(None, (os.environ.get("ASAN_OPTIONS"), "verify_asan_link_order=0")))}

    def move(self, seconds):
        """From now on it is so many seconds ahead of the true time (less than none: behind)."""
        with open(self.file, "r+b") as file:  # in place: it is mapped
            file.write(struct.pack("=q", int(seconds * 1000000)))
