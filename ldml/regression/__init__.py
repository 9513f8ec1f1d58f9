"""The linear model: evidence, the estimator, its file."""

from ldml.regression.evidence import EvidenceRidge
from ldml.regression.ldml import LDML
from ldml.regression.model_file import load_model

__all__ = ["LDML", "EvidenceRidge", "load_model"]
