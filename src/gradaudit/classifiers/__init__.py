"""What is audited: networks by name, checkpoints, and models of other libraries."""

from gradaudit.classifiers.build import NETWORKS, NetworkDescription, build_network, describe_networks
from gradaudit.classifiers.check import check_alike, check_classifier, check_judges, class_count
from gradaudit.classifiers.class_names import class_names, in_order, misplaced
from gradaudit.classifiers.fingerprint import classifier_fingerprint
from gradaudit.classifiers.load import load_classifier
from gradaudit.classifiers.logits import with_logits
from gradaudit.classifiers.normalisation import Normalisation, Normalise, normalised, read_normalisation
from gradaudit.classifiers.odds import log_odds
from gradaudit.classifiers.saving import classifier_metadata, save_classifier
from gradaudit.classifiers.two_logits import two_logits
from gradaudit.classifiers.untrained import untrained_copy

__all__ = [
    "NETWORKS",
    "NetworkDescription",
    "Normalisation",
    "Normalise",
    "build_network",
    "check_alike",
    "check_classifier",
    "check_judges",
    "class_count",
    "class_names",
    "classifier_fingerprint",
    "classifier_metadata",
    "describe_networks",
    "in_order",
    "load_classifier",
    "log_odds",
    "misplaced",
    "normalised",
    "read_normalisation",
    "save_classifier",
    "two_logits",
    "untrained_copy",
    "with_logits",
]
