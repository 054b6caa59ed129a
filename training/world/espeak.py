"""espeak-ng in a process of its own: lines of JSON in, samples out.

The library keeps its state in globals, so a process serves one caller. Run as a script this file is the server;
`Espeak` is the client. The library and its data come with the package `espeakng-loader`; variant files go to a
temporary copy of the folder tree (links, except for the voices).
"""

from __future__ import annotations

import ctypes
import json
import os
import struct
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

RATE, VOLUME = 1, 2
"""espeak-ng's parameter numbers."""


class Espeak:
    """A running espeak-ng process. Use as a context manager, from one thread.

    Raises: RuntimeError: the process ended, with what it wrote.
    """

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(Path(__file__).resolve())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.sample_rate = struct.unpack("<i", self._read(4))[0]

    def say(self, text: str, variant: str, speed: int) -> NDArray[np.float32]:
        """Speak `text` with the variant file's text at `speed` words a minute; (T,) in [-1, 1] at `sample_rate`."""
        pipe = self._process.stdin
        if pipe is None:
            raise RuntimeError(
                "espeak-ng: expected a running process, got a closed one. Open a new `Espeak`."
            )
        pipe.write(json.dumps({"text": text, "variant": variant, "speed": speed}).encode() + b"\n")
        pipe.flush()
        count = struct.unpack("<i", self._read(4))[0]
        return np.frombuffer(self._read(2 * count), np.int16).astype(np.float32) / 32768.0

    def close(self) -> None:
        """End the process and wait for it."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def __enter__(self) -> Espeak:
        """Return the client."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()

    def _read(self, size: int) -> bytes:
        pipe = self._process.stdout
        data = b"" if pipe is None else pipe.read(size)
        if len(data) != size:
            raise RuntimeError(
                f"espeak-ng: expected {size} bytes, got {len(data)}; its process ended with {self._process.poll()}. "
                "See its message above; `pip install espeakng-loader` installs the library."
            )
        return data


def copy_data(source: str, target: Path) -> Path:
    """Link espeak-ng's data into `target`/espeak-ng-data, with an empty variants folder, and return that folder."""
    data = target / "espeak-ng-data"
    data.mkdir()
    for name in os.listdir(source):
        if name != "voices":
            os.symlink(os.path.join(source, name), data / name)
    variants = data / "voices" / "!v"
    variants.mkdir(parents=True)
    return variants


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer requests until the input ends."""
    import espeakng_loader

    with tempfile.TemporaryDirectory() as folder:
        variants = copy_data(espeakng_loader.get_data_path(), Path(folder))
        library = ctypes.CDLL(espeakng_loader.get_library_path())
        answers.write(struct.pack("<i", library.espeak_Initialize(2, 0, folder.encode(), 0)))
        answers.flush()
        pieces: list[NDArray[np.int16]] = []

        def collect(wave: ctypes._Pointer[ctypes.c_short], count: int, _events: int) -> int:
            if wave and count > 0:
                pieces.append(np.ctypeslib.as_array(wave, (count,)).copy())
            return 0

        kind = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
        callback = kind(collect)
        library.espeak_SetSynthCallback(callback)
        known: dict[str, str] = {}
        for line in requests:
            request = json.loads(line)
            variant: str = request["variant"]
            if variant not in known:
                known[variant] = f"voice{len(known)}"
                (variants / known[variant]).write_text(variant)
            if library.espeak_SetVoiceByName(f"en-us+{known[variant]}".encode()) != 0:
                raise SystemExit(f"espeak-ng: expected a readable variant, got:\n{variant}")
            library.espeak_ng_SetRandSeed(1)
            library.espeak_SetParameter(RATE, request["speed"], 0)
            library.espeak_SetParameter(VOLUME, 50, 0)
            text = request["text"].encode()
            pieces.clear()
            library.espeak_Synth(text, len(text) + 1, 0, 0, 0, 1, None, None)
            samples = np.concatenate(pieces) if pieces else np.zeros(0, np.int16)
            answers.write(struct.pack("<i", len(samples)) + samples.tobytes())
            answers.flush()


if __name__ == "__main__":
    serve(sys.stdin.buffer, sys.stdout.buffer)
