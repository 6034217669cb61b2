"""Methods as values, and the stages they expand into."""

from attrition.methods.method import METHODS, Method, Stage, method, plan
from attrition.methods.trains import Full, LoRA, Trains

__all__ = ["METHODS", "Full", "LoRA", "Method", "Stage", "Trains", "method", "plan"]
