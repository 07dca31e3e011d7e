"""A finished run as one ONNX file that says what it takes and was checked against the network it was made of."""

from .write import Checked, export_run

__all__ = ["Checked", "export_run"]
