"""A disk that is full or read-only: the error names the file, nothing is spoilt, the run goes on to the same bits."""

import errno
import os
import subprocess

import h5py
import pytest
from alertgrid import files
from alertgrid.errors import StudyError, disk_errors
from toy_training import run_toy, same_run, write_toy


@pytest.fixture
def small_disk(tmp_path):
    """A disk of its own, with a way to change its size or rights."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", disk], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"no small disk can be mounted here: {mounted.stderr.strip()}")

    def change(options):
        subprocess.run(["mount", "-o", f"remount,{options}", disk], check=True)

    yield disk, change
    subprocess.run(["umount", disk], check=True)


@pytest.mark.parametrize(("options", "said"), [("size=40k", "No space left"), ("ro,size=4m", "Read-only file system")])
def test_a_run_on_a_bad_disk_stops_clearly_and_goes_on_when_it_is_mended(tmp_path, small_disk, options, said):
    data = write_toy(tmp_path)
    disk, change = small_disk
    run_toy(data, tmp_path / "good")
    change(options)
    with pytest.raises(StudyError, match=f"cannot be written: .*{said}") as refusal:
        run_toy(data, disk)
    assert str(disk) in refusal.value.where
    assert not list(disk.glob("out/*"))
    change("rw,size=4m")
    run_toy(data, disk)
    same_run(tmp_path / "good" / "out", disk / "out")
    assert not [path for path in disk.rglob(".*") if path.is_file()]


def test_a_write_that_finds_no_space_keeps_the_old_file(small_disk):
    disk, change = small_disk
    files.write_text(disk / "a.txt", "old")
    change("size=100k")
    with pytest.raises(StudyError, match=r"a\.txt: cannot be written: .*No space left on device"):
        files.write_text(disk / "a.txt", "new" * 100_000)
    with (
        pytest.raises(StudyError, match=r"b\.h5: .*No space left on device"),
        files.atomic_path(disk / "b.h5") as temporary,
        h5py.File(temporary, "w") as file,
    ):
        file["values"] = list(range(100_000))
    assert [path.name for path in disk.iterdir()] == ["a.txt"]
    assert (disk / "a.txt").read_text() == "old"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES])
def test_only_errors_of_the_disk_are_reworded(number):
    with pytest.raises(StudyError, match=os.strerror(number)), disk_errors("a"):
        raise OSError(number, os.strerror(number))
    with pytest.raises(FileNotFoundError), disk_errors("a"):
        raise FileNotFoundError(errno.ENOENT, "no such file")
    with pytest.raises(ValueError, match="other"), disk_errors("a"):
        raise ValueError("other")
    with pytest.raises(StudyError, match="inner"), disk_errors("outer"), disk_errors("inner"):
        raise OSError(number, os.strerror(number))
