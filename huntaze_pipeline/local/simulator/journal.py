"""An append-only JSON Lines file: what was written stays, and half a last line is cut off.

Every line is handed to the operating system before the caller goes on, so a killed process loses
nothing that it has answered for. What the lines mean is their writer's business.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from huntaze_pipeline.errors import ServiceError


class Journal:
    """One file, one writer, any number of readers.

    Raises:
        ServiceError: another process is the file's writer.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._open()
        self.end = self._mend()

    def append(self, line: dict[str, Any]) -> int:
        """Write one line and return the offset at which it starts."""
        data = json.dumps(line, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
        at = self.end
        while data:
            written = os.write(self._file, data)
            self.end += written
            data = data[written:]
        return at

    def read(self, offset: int, size: int = 1_024) -> tuple[dict[str, Any], int]:
        """Return the line that starts at an offset, and the offset of the next one."""
        data = os.pread(self._file, size, offset)
        cut = data.find(b"\n")
        if cut < 0 and offset + size < self.end:
            return self.read(offset, size * 8)
        return json.loads(data[:cut]), offset + cut + 1

    def lines(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield every line with its offset."""
        offset = 0
        with self.path.open("rb") as file:
            for line in file:
                yield offset, json.loads(line)
                offset += len(line)

    def rotate(self) -> None:
        """Put the file aside under the next free number and start an empty one."""
        os.close(self._file)
        if self.end:
            number = 1
            while (aside := self.path.with_suffix(f".{number}{self.path.suffix}")).exists():
                number += 1
            self.path.rename(aside)
        self._file = self._open()
        self.end = os.fstat(self._file).st_size

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def _open(self) -> int:
        file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            raise ServiceError(
                f"{self.path} is written by another simulator: stop it, or take another --state-dir"
            ) from None
        return file

    def _mend(self) -> int:
        """Cut off a last line that a crash of the machine left unfinished."""
        size = os.fstat(self._file).st_size
        keep = size
        while keep:
            start = max(0, keep - 65_536)
            cut = os.pread(self._file, keep - start, start).rfind(b"\n")
            keep = start + cut + 1 if cut >= 0 else start
            if cut >= 0:
                break
        if keep != size:
            os.ftruncate(self._file, keep)
        return keep
