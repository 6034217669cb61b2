"""Covariates of the corpus, against counts by hand over texts."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from attrition.corpus.base import Utterance
from attrition.corpus.annotation import annotate
from attrition.corpus.encoded import EncodingSettings, encode_utterances
from attrition.corpus.words import Scheme, blank_leak, label_set
from attrition.encoder.tiny import tiny_pretrained
from attrition.results.covariates import FILE, read_covariates
from attrition.run.covariates import corpus_covariates, overlaps, share_of_edges
from attrition.run.corpora import open_corpus
from attrition.run.engine import run_study
from attrition.run.prepare import Prepared
from attrition.run.spec import Study
