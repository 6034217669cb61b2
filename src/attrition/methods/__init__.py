"""Methods as values: the parameters that they train, and their steps."""

from attrition.methods.hook import Hook
from attrition.methods.methods import HOOKS, METHODS, Method, method
from attrition.methods.steps import Merge, Row, Steps, Train
from attrition.methods.trains import Full, LoRA, Trains

__all__ = ["HOOKS", "METHODS", "Full", "Hook", "LoRA", "Merge", "Method", "Row", "Steps", "Train", "Trains", "method"]
