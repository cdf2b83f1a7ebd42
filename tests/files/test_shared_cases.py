"""Files as people sent them, where they lie beside the repository: each gives its numbers, or the true sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from qviz.files.problems import FileProblem
from qviz.files.readers import expand, list_tensors
from tests.every import every

FOLDER = next(
    (at for up in Path(__file__).resolve().parents if (at := up / "shared" / "cases" / "files").is_dir()), None
)
TABLES = {
    "c_fortranD.txt": (5, 4),
    "c_label.csv": (2, 4),
    "c_latin1.csv": (5, 4),
    "c_onecol_numhdr.csv": (5,),
    "c_pd_array_default.csv": (5, 4),
    "c_pd_array_noindex.csv": (5, 4),
    "c_pd_default.csv": (5, 4),
    "c_pd_nan.csv": (5, 4),
    "c_quotes.csv": (5, 4),
    "c_semi_comma.csv": (5, 4),
    "c_trailcomma.csv": (5, 4),
    "c_units.csv": (2, 2),
    "e_comma1col2.csv": (3,),
    "e_msvc_end.csv": (2, 2),
}
TENSORS = {
    "g_be.gguf": {"w": "float32"},
    "g_unknown_31.gguf": {"w": "Q4_0_4_4", "b": "float32"},
    "n_ml_bfloat16.npy": {None: "bfloat16"},
    "n_ml_float8_e5m2.npy": {None: "float8_e5m2"},
    "pytorch_model.bin": {"w": "float32"},
    "n_struct_xyz.npy": {"x": "float32", "y": "float32", "z": "float32"},
    "win64python2.npy": {None: "float64"},
    "z_bf16_member.npz": {"weight": "bfloat16", "bias": "float32"},
    "z_f8_member.npz": {"weight": "float8_e5m2", "bias": "float32"},
    "z_noext.npz": {"w": "float32", "b": "float32"},
    "z_npy_named.npz": {None: "float32"},
}
SENTENCES = {
    "n_lfs.npy": "is a Git LFS pointer",
    "t_table.xlsx": "is an Excel workbook",
    "m-00001-of-00002.gguf": "is part 1 of 2 and holds no tensors",
}
pytestmark = pytest.mark.skipif(FOLDER is None, reason="the shared files are not here")


def file(name: str) -> Path:
    assert FOLDER is not None
    return FOLDER / name


@every("name", TABLES)
def test_tables(name: str) -> None:
    (entry,) = list_tensors(file(name))
    assert entry.load().shape == TABLES[name]
    assert entry.note() is not None


def test_the_values_of_pandas_tables_are_those_of_the_plain_one() -> None:
    plain = list_tensors(file("c_trailcomma.csv"))[0].load()
    for name in ("pd_array_default", "pd_array_noindex", "pd_default", "quotes", "latin1"):
        np.testing.assert_array_equal(list_tensors(file(f"c_{name}.csv"))[0].load(), plain)


@every("name", TENSORS)
def test_tensors(name: str) -> None:
    entries = list_tensors(file(name))
    assert {entry.key: entry.dtype for entry in entries} == TENSORS[name]
    for entry in entries:
        if entry.refused is None:
            assert entry.load().shape == entry.shape


@every("name", SENTENCES)
def test_sentences(name: str) -> None:
    with pytest.raises(FileProblem, match=SENTENCES[name]):
        list_tensors(file(name))


def test_the_folder_of_a_checkpoint() -> None:
    assert [path.name for path in expand([file("hf_folder")])] == ["model-00001-of-00001.safetensors"]
