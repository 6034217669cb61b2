"""The files of MASSIVE: hostile and damaged archives, where the release is looked for, and fetching it."""

from __future__ import annotations

import io
import os
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest

from attrition.corpus import release
from attrition.corpus.archive import Limits
from attrition.corpus.massive import Massive, fetch, find_massive
from attrition.corpus.massive_files import unpack_release
from attrition.files import write_whole
from attrition.names import AttritionError

ROWS = """\
{"id": "0", "locale": "de-DE", "partition": "train", "intent": "alarm_set", "utt": "um fünf", "annot_utt": "um [time : fünf]"}
{"id": "1", "locale": "de-DE", "partition": "train", "intent": "general_greet", "utt": "hallo", "annot_utt": "hallo"}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    data = tmp_path / "unpacked" / "1.1" / "data"
    data.mkdir(parents=True)
    (data / "de-DE.jsonl").write_text(ROWS, encoding="utf-8")
    (data / "ja-JP.jsonl").write_text(ROWS.replace("de-DE", "ja-JP"), encoding="utf-8")
    (data.parent / "LICENSE").write_text("CC BY 4.0", encoding="utf-8")
    return data


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def pack(folder: Path, archive: Path, mode: str = "w:gz") -> Path:
    with tarfile.open(archive, mode) as tar:  # type: ignore[call-overload]
        tar.add(folder.parent, arcname="1.1")
    return archive


# -- Archives -----------------------------------------------------------------------------------------------------------


def tar_of(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w") as tar:
        for member, content in members:
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


GOOD = (member("1.1/data/de-DE.jsonl"), ROWS.encode())


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (member("/etc/passwd"), "absolute or foreign path"),
        (member("C:/data/de-DE.jsonl"), "absolute or foreign path"),
        (member("1.1\\data\\de-DE.jsonl"), "absolute or foreign path"),
        (member("1.1/data/../../../x"), "climbs out"),
        (member("../data/fr-FR.jsonl"), "climbs out"),
        (member("1.1/data/fr-FR.jsonl", tarfile.SYMTYPE, "/etc/passwd"), "link to '/etc/passwd'"),
        (member("1.1/data/fr-FR.jsonl", tarfile.LNKTYPE, "1.1/data/de-DE.jsonl"), "is a link"),
        (member("1.1/data/fr-FR.jsonl", tarfile.FIFOTYPE), "neither a plain file nor a folder"),
        (member("1.0/data/de-DE.jsonl"), "two members are 'de-DE.jsonl'"),
    ],
)
def test_a_hostile_archive_is_refused_and_leaves_nothing(tmp_path: Path, cache: Path, bad: tarfile.TarInfo, said: str) -> None:
    archive = tar_of(tmp_path / "bad.tar", GOOD, (bad, b""))
    with pytest.raises(AttritionError, match=said):
        Massive(archive, cache=cache).read("de-DE", "train")
    assert not any((folder / "manifest.json").exists() for folder in (cache / "massive").iterdir())
    assert {path.name for path in tmp_path.iterdir()} == {"bad.tar", "cache"}


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        (Limits(file_bytes=100), "at most 100 are read from one file"),
        (Limits(total_bytes=300), "more than 300 bytes"),
        (Limits(members=3), "more than 3 members"),
    ],
)
def test_an_archive_that_unpacks_to_too_much_is_refused(folder: Path, cache: Path, limits: Limits, said: str) -> None:
    archive = pack(folder, folder.parents[1] / "bomb.tar.gz")
    with pytest.raises(AttritionError, match=f"refused as too large: .*{said}"):
        unpack_release(archive, cache, limits=limits)
    assert unpack_release(archive, cache).is_dir()  # by the ordinary limits it is fine


def test_damaged_and_foreign_archives_are_named(folder: Path, cache: Path, tmp_path: Path) -> None:
    noise = "".join(chr(0x4E00 + index * 7919 % 20000) for index in range(20_000))
    (folder / "zz.jsonl").write_text(noise, encoding="utf-8")
    for mode in ("w", "w:gz", "w:bz2", "w:xz"):
        archive = pack(folder, tmp_path / f"cut{mode[2:]}", mode)
        archive.write_bytes(archive.read_bytes()[: archive.stat().st_size // 2])
        with pytest.raises(AttritionError, match="damaged"):
            Massive(archive, cache=cache).read("de-DE", "train")
    text = tmp_path / "notes.txt"
    text.write_text("no tar at all" * 100, encoding="utf-8")
    with pytest.raises(AttritionError, match="not a tar"):
        Massive(text, cache=cache).read("de-DE", "train")
    other = tar_of(tmp_path / "other.tar", (member("x/readme"), b"hello"))
    with pytest.raises(AttritionError, match=r"not an archive of MASSIVE.*one of three things"):
        Massive(other, cache=cache).read("de-DE", "train")


def test_unpacking_happens_once_keeps_the_licence_and_repairs_what_was_cut(folder: Path, cache: Path, tmp_path: Path) -> None:
    archive = pack(folder, tmp_path / "a.tar.gz")
    calls: list[tuple[str, int, int]] = []
    unpacked = unpack_release(archive, cache, progress=lambda *call: calls.append(call))
    assert calls[-1][0] == "unpacking a.tar.gz"
    assert calls[-1][1] <= calls[-1][2] == archive.stat().st_size
    assert (unpacked / "LICENSE").read_text(encoding="utf-8") == "CC BY 4.0"
    assert {path.suffix for path in cache.iterdir()} <= {"", ".lock"}
    stamp = (unpacked / "manifest.json").stat().st_mtime_ns
    assert unpack_release(archive, cache) == unpacked
    assert (unpacked / "manifest.json").stat().st_mtime_ns == stamp
    (unpacked / "de-DE.jsonl").write_text("{", encoding="utf-8")
    assert len(Massive(archive, cache=tmp_path / "elsewhere").read("de-DE", "train")) == 2
    assert (unpack_release(archive, cache) / "de-DE.jsonl").read_bytes() == (folder / "de-DE.jsonl").read_bytes()


def test_a_cache_that_cannot_be_written_is_named(folder: Path, tmp_path: Path) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_text("", encoding="utf-8")
    with pytest.raises(AttritionError, match=r"could not be unpacked into .*ATTRITION_CACHE"):
        Massive(pack(folder, tmp_path / "a.tar.gz"), cache=blocked).read("de-DE", "train")


# -- Finding and fetching -------------------------------------------------------------------------------------------------


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    work = tmp_path / "work" / "project"
    work.mkdir(parents=True)
    monkeypatch.chdir(work)
    monkeypatch.delenv("ATTRITION_MASSIVE", raising=False)
    monkeypatch.setenv("ATTRITION_CACHE", str(tmp_path / "cache"))
    return work


def test_a_missing_archive_says_the_three_ways(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ways = r"one of three things.*attrition data fetch.*corpus\.path.*ATTRITION_MASSIVE.*https://"
    with pytest.raises(AttritionError, match=f"not found. .*{ways}"):
        find_massive()
    with pytest.raises(AttritionError, match=f"'no/where', the path in corpus.path. .*{ways}"):
        find_massive("no/where")
    monkeypatch.setenv("ATTRITION_MASSIVE", "not/here")
    with pytest.raises(AttritionError, match=f"'not/here', the path in ATTRITION_MASSIVE. .*{ways}"):
        find_massive()
    with pytest.raises(AttritionError, match=ways):
        assert Massive(nowhere / "gone").languages
    with pytest.raises(AttritionError, match=f"has no <locale>.jsonl.*{ways}"):
        assert Massive(nowhere).languages


def test_it_is_looked_for_in_the_order_that_is_promised(
    nowhere: Path, folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    neighbour = nowhere.parent / "shared" / "massive"
    neighbour.mkdir(parents=True)
    with pytest.raises(AttritionError):
        find_massive()  # an empty neighbour does not count
    pack(folder, neighbour / "amazon-massive-dataset-1.1.tar.xz", "w:xz")
    assert Massive(find_massive()).languages == ("de-DE", "ja-JP")
    assert find_massive().resolve() == neighbour
    fetched = cache / "massive" / release.ARCHIVE
    shutil.copy(neighbour / "amazon-massive-dataset-1.1.tar.xz", fetched)
    assert find_massive() == fetched
    monkeypatch.setenv("ATTRITION_MASSIVE", str(folder))
    assert find_massive() == folder
    assert find_massive(neighbour) == neighbour


def test_fetching_records_a_checksum_and_later_reads_verify_it(nowhere: Path, folder: Path, tmp_path: Path) -> None:
    assert nowhere.is_dir()
    official = pack(folder, tmp_path / "official.tar.gz")
    asked: list[str] = []

    def download(address: str, output: str, _pooch: Any) -> None:
        asked.append(address)
        shutil.copy(official, output)

    archive = fetch(downloader=download)
    assert asked == ["https://amazon-massive-nlu-dataset.s3.amazonaws.com/amazon-massive-dataset-1.1.tar.gz"]
    assert find_massive() == archive
    assert Massive(archive).languages == ("de-DE", "ja-JP")
    assert fetch(downloader=download) == archive
    assert len(asked) == 1
    archive.write_bytes(archive.read_bytes() + b"\0")
    for read in (lambda: Massive(archive).languages, lambda: fetch(downloader=download)):
        with pytest.raises(AttritionError, match="has changed since it was downloaded"):
            read()


def test_a_failed_or_wrong_download_is_a_sentence_and_leaves_no_archive(nowhere: Path) -> None:
    def no_network(_address: str, _output: str, _pooch: Any) -> None:
        raise ConnectionError("no route to host")

    def wrong(_address: str, output: str, _pooch: Any) -> None:
        Path(output).write_text("<html>moved</html>", encoding="utf-8")

    assert nowhere.is_dir()
    with pytest.raises(AttritionError, match=r"could not be downloaded \(no route to host\).*one of three things.*https://"):
        fetch(downloader=no_network)
    with pytest.raises(AttritionError, match=r"is not a tar\. It was deleted"):
        fetch(downloader=wrong)
    with pytest.raises(AttritionError, match="not found"):
        find_massive()


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "new" / "record.json"
    write_whole(path, "old")

    def full(_descriptor: int) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        write_whole(path, "new")
    assert path.read_text(encoding="utf-8") == "old"
    assert [file.name for file in path.parent.iterdir()] == ["record.json"]
