"""What is this file that qviz does not read, and what can be done with it?

A reader for one of these is a module of its own and a row in `registry.FORMATS`, which is asked first.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from qviz.core.frozen import frozen
from qviz.core.problems import N_
from qviz.files.problems import FileProblem
from qviz.files.start import Start

_STATE_DICT = N_("Load it where it was made and save its state_dict with safetensors.torch.save_file.")
_AS_ARRAYS = N_("Save its arrays with numpy.save, or as safetensors.")
_AS_CSV = N_("Save the numbers as CSV.")
_UNPACK = N_("Unpack it, and open what is in it.")


@frozen
class Foreign:
    """One row: how such a file is told by its content, what it is, and what to do."""

    what: str
    advice: str
    is_it: Callable[[Start], bool]


def _begins(*starts: bytes) -> Callable[[Start], bool]:
    return lambda start: start.head.startswith(starts)


def _at(place: int, mark: bytes) -> Callable[[Start], bool]:
    return lambda start: start.head[place : place + len(mark)] == mark


def _holds(*ends: str) -> Callable[[Start], bool]:
    return lambda start: start.has_member(*ends)


def _is_html(start: Start) -> bool:
    return start.text.startswith(("<!doctype html", "<html", "<head", "<body"))


def _is_xml(start: Start) -> bool:
    return start.text.startswith(("<?xml", "<error", "<!doctype"))


def _is_json(start: Start) -> bool:
    if start.text[:1] not in ("{", "["):
        return False
    if start.size > len(start.head):
        return start.text[1:].lstrip()[:1] in ('"', "{", "[") or start.name.endswith(".json")
    try:
        json.loads(start.head)
    except (ValueError, RecursionError):
        return False
    return True


FOREIGN: tuple[Foreign, ...] = (
    Foreign(
        N_("is a Git LFS pointer, not the file itself"),
        N_("Run git lfs pull in its folder, or download the file itself."),
        lambda start: start.text.startswith("version https://git-lfs.github.com/"),
    ),
    Foreign(
        N_("is a web page (HTML), perhaps one to sign in or one with an error"),
        N_("Download the file itself again."),
        _is_html,
    ),
    Foreign(N_("is JSON, which holds no tensors that qviz reads"), N_("Save its numbers with numpy.save."), _is_json),
    Foreign(N_("is XML"), N_("Open the file with the weights, or download it again."), _is_xml),
    Foreign(
        N_("is a MATLAB file"),
        N_("Save the matrix with writematrix, or with scipy and numpy.save."),
        _begins(b"MATLAB "),
    ),
    Foreign(N_("is an ExecuTorch program"), _STATE_DICT, _at(4, b"ET")),
    Foreign(N_("is a TensorRT engine"), N_("Open the model that it was built from."), _begins(b"ftrt")),
    Foreign(
        N_("is of the GGML format before GGUF"),
        N_("Convert the model again with a current llama.cpp."),
        _begins(b"tjgg", b"lmgg", b"fmgg", b"algg"),
    ),
    Foreign(N_("is an Arrow file (Feather)"), N_("Save it as .parquet."), _begins(b"ARROW1", b"FEA1")),
    Foreign(N_("is an Excel workbook"), N_("Save the sheet as CSV."), _holds("xl/workbook.xml", "xl/workbook.bin")),
    Foreign(N_("is a Word document"), _AS_CSV, _holds("word/document.xml")),
    Foreign(N_("is a spreadsheet or document of LibreOffice"), N_("Save the sheet as CSV."), _holds("content.xml")),
    Foreign(N_("is a Core ML model"), N_("Open the model that it was converted from."), _holds("Manifest.json")),
    Foreign(
        N_("is a zip file with files in it that qviz may read"),
        _UNPACK,
        _holds(".safetensors", ".gguf", ".csv", ".tsv", ".txt", ".parquet", ".npz", ".pt", ".onnx", ".h5"),
    ),
    Foreign(N_("is a file of old Excel or Word"), _AS_CSV, _begins(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")),
    Foreign(N_("is a tar file"), _UNPACK, _at(257, b"ustar")),
    Foreign(N_("is packed with Zstandard"), _UNPACK, _begins(b"\x28\xb5\x2f\xfd")),
    Foreign(N_("is packed with xz"), _UNPACK, _begins(b"\xfd7zXZ\x00")),
    Foreign(N_("is packed with bzip2"), _UNPACK, lambda s: s.head[:3] == b"BZh" and s.head[4:10] == b"1AY&SY"),
    Foreign(N_("is a 7-Zip file"), _UNPACK, _begins(b"7z\xbc\xaf\x27\x1c")),
    Foreign(N_("is a RAR file"), _UNPACK, _begins(b"Rar!\x1a\x07")),
    Foreign(
        N_("is a picture, not a tensor"),
        N_("Save its pixels with numpy.save."),
        _begins(b"\x89PNG\r\n", b"\xff\xd8\xff"),
    ),
    Foreign(N_("is a PDF document"), _AS_CSV, _begins(b"%PDF-")),
    Foreign(N_("is a database (SQLite)"), N_("Export the table as CSV."), _begins(b"SQLite format 3\x00")),
    Foreign(N_("is an R data file"), N_("Save the numbers with write.csv."), _begins(b"RDX", b"RDA")),
)


def foreign_problem(start: Start) -> FileProblem | None:
    """What a file is that no reader takes, told by its content; None where nothing tells."""
    found = next((row for row in FOREIGN if row.is_it(start)), None)
    return FileProblem(start.path, found.what, found.advice) if found is not None else None
