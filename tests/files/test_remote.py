"""Object storage is read as a disk is: the same tensors, values and counts; what is wrong is a sentence."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from qviz.core.problems import Problem
from qviz.files import remote
from qviz.files.addresses import is_address
from qviz.files.problems import FileProblem
from qviz.files.readers import list_tensors
from qviz.models.audit import audit
from qviz.models.checkpoint import open_checkpoint
from tests.every import every

RANDOM = np.random.default_rng(0)
ARRAYS: dict[str, Any] = {
    "a.weight": RANDOM.standard_normal((40, 32)).astype(np.float32),
    "b.weight": RANDOM.standard_normal((40, 32)).astype(ml_dtypes.bfloat16),
    "c.weight": RANDOM.standard_normal((40, 32)).astype(np.float16),
    "d.weight": RANDOM.standard_normal((4, 8)).astype(ml_dtypes.float8_e4m3fn),
    "steps": np.arange(5),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    pytest.importorskip("obstore")
    monkeypatch.setattr(remote, "STRETCH", 1000)
    save_file({key: ARRAYS[key] for key in list(ARRAYS)[:3]}, tmp_path / "m-1.safetensors")
    save_file({key: ARRAYS[key] for key in list(ARRAYS)[3:]}, tmp_path / "m-2.safetensors")
    names = {key: "m-1.safetensors" if place < 3 else "m-2.safetensors" for place, key in enumerate(ARRAYS)}
    (tmp_path / "m.safetensors.index.json").write_text(json.dumps({"weight_map": names}))
    return tmp_path


@pytest.mark.parametrize("name", ["", "/m.safetensors.index.json"])
def test_tensors_are_those_of_the_disk(folder: Path, name: str) -> None:
    here = {entry.key: entry for file in ("m-1", "m-2") for entry in list_tensors(folder / f"{file}.safetensors")}
    there = {entry.key: entry for entry in remote.list_entries(f"file://{folder}{name}")}
    assert list(there) == list(here)
    for key, entry in there.items():
        expected = here[key]
        assert (entry.shape, entry.dtype) == (expected.shape, expected.dtype)
        np.testing.assert_array_equal(np.asarray(entry.load()), np.asarray(expected.load()))
        assert (entry.counted is None) == (expected.counted is None)
        if entry.counted is not None and expected.counted is not None:
            ours, theirs = entry.counted(), expected.counted()
            np.testing.assert_array_equal(ours.values, theirs.values)
            np.testing.assert_array_equal(ours.counts, theirs.counts)
        if entry.bits is not None and expected.bits is not None:
            np.testing.assert_array_equal(entry.bits()[5:30], expected.bits()[5:30])


def test_what_has_changed_is_not_read(folder: Path) -> None:
    entry = remote.list_entries(f"file://{folder}/m-1.safetensors")[0]
    save_file({"a.weight": np.zeros((40, 33), np.float32)}, folder / "m-1.safetensors")
    with pytest.raises(FileProblem, match="has changed since it was opened"):
        entry.load()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("none.safetensors", "does not exist"),
        ("damaged.safetensors", "is not a safetensors file, or a damaged one"),
        ("short.safetensors", "is not a safetensors file, or a damaged one"),
        ("nothing", "There is no safetensors file at"),
        ("out.safetensors.index.json", "names files outside its folder"),
        ("bad.safetensors.index.json", "is a damaged index"),
    ],
)
def test_what_is_wrong_is_a_sentence(folder: Path, name: str, said: str) -> None:
    (folder / "damaged.safetensors").write_bytes(b"\xff" * 8 + b"{}" * 50)
    (folder / "short.safetensors").write_bytes(b"{}")
    (folder / "out.safetensors.index.json").write_text('{"weight_map": {"a": "../m.safetensors"}}')
    (folder / "bad.safetensors.index.json").write_text("[")
    with pytest.raises(Problem, match=said):
        remote.list_entries(f"file://{folder}/{name}")


def test_a_library_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(Problem, match=r"needs obstore, which is not installed: pip install 'qviz\[cluster\]'\."):
        remote.list_entries("s3://bucket/model")


@every(
    ("text", "expected"), [("s3://a/b", True), ("S3://a/b", True), ("gs://a", True), ("C:/a", False), ("a/b", False)]
)
def test_addresses(text: str, expected: bool) -> None:
    assert is_address(text) == expected


@pytest.fixture
def bucket(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The same files in S3, as a server here plays it."""
    server_module = pytest.importorskip("moto.server")
    import boto3

    for key, value in {
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(key, value)
    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        remote._store.cache_clear()
        client = boto3.client("s3", endpoint_url=f"http://{host}:{port}")
        client.create_bucket(Bucket="models")
        for file in folder.iterdir():
            client.put_object(Bucket="models", Key=f"tiny/{file.name}", Body=file.read_bytes())
        yield "s3://models/tiny"
    finally:
        server.stop()
        remote._store.cache_clear()


def test_a_bucket_is_audited_as_a_folder_is(folder: Path, bucket: str) -> None:
    from qviz.core import IntFormat, PerAxis, Scheme

    schemes = [Scheme(), Scheme(IntFormat(4), granularity=PerAxis(0))]
    here = [row.to_dict() for row in audit(open_checkpoint([folder / "m.safetensors.index.json"]).weights, schemes)]
    there = [row.to_dict() for row in audit(open_checkpoint([bucket]).weights, schemes)]
    assert there == here
