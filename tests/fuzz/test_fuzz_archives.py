"""Damaged archives of MASSIVE: unpacked whole, or refused by name; nothing outside the cache is touched."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from types import ModuleType

import pytest

from attrition.corpus.massive_files import rows_files, unpack_release

Hunt = Callable[[Callable[[Random], None], int, int], None]
COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": lambda data: gzip.compress(data, mtime=0),
    "bzip2": bz2.compress,
    "xz": lambda data: lzma.compress(data, preset=0),
}
CONTENTS = {
    f"1.1/data/{locale}.jsonl": b"\n".join(b'{"id": "%d", "locale": "%s"}' % (n * 7919, locale.encode()) for n in range(40))
    for locale in ("de-DE", "fr-FR", "ja-JP")
} | {"1.1/LICENSE": b"CC BY 4.0"}


def tar(kind: int) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=kind) as archive:
        for name, content in CONTENTS.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            member.pax_headers = {"comment": "ü" * 10} if kind == tarfile.PAX_FORMAT else {}
            archive.addfile(member, io.BytesIO(content))
    return file.getvalue()


@pytest.mark.parametrize("damaged", ["compressed", "tar"])
@pytest.mark.parametrize("compression", list(COMPRESS))
def test_archives(
    compression: str, damaged: str, hunt: Hunt, mutate: ModuleType, refusal: Callable[..., None], tmp_path: Path
) -> None:
    tars = [tar(kind) for kind in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)]
    archive, cache = tmp_path / "release", tmp_path / "cache"
    names = {Path(name).name for name in CONTENTS}
    sound = {Path(name).name: content for name, content in CONTENTS.items()}

    def attempt(random: Random) -> None:
        data = random.choice(tars)
        if damaged == "tar":
            data = mutate.mutated(data, random, mutate.BINARY)
        data = COMPRESS[compression](data)
        if damaged == "compressed":
            data = mutate.mutated(data, random, mutate.BINARY)
        archive.write_bytes(data)
        try:
            folder = unpack_release(archive, cache)
        except ValueError as error:
            refusal(error, str(archive))
        else:
            found = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "manifest.json"}
            if damaged == "compressed" and compression != "plain":  # what has a checksum is whole, or not there
                assert found == sound
            # A damaged name may be that of no file of the release; a file that is there has all its bytes.
            assert rows_files(folder)
            assert all(len(found[name]) == len(sound[name]) for name in names & found.keys())
        assert {path.name for path in tmp_path.iterdir()} == {"release", "cache"}
        shutil.rmtree(cache)

    hunt(attempt, 12, 300)
