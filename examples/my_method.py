"""A method of one's own in one file: VANILLA with a pull towards the weights that a stage starts from.

The loss has `strength` / 2 * |w - w0|^2 added; w0 are the weights at the beginning of the stage. Use it in a study file:

    methods = ["VANILLA", "my_method.py", { method = "my_method.py", pull = { strength = 0.1 }, name = "PULL 0.1" }]
"""

from attrition.methods import Hook, Method
from attrition.methods.hook import Work


class Pull(Hook):
    """The settings, as a study file gives them in a table called `pull`."""

    name = "pull"
    strength: float = 0.01

    def begin(self, stage):
        """Return what is at work in a stage. It is not called for a learner's first stage: `first_stage` is False."""
        return PullAtWork(self.strength, stage)


class PullAtWork(Work):
    def __init__(self, strength, stage):
        self.strength = strength
        self.start = {name: tensor.clone() for name, tensor in stage.unpack(stage.start_P()).items()}

    def loss(self, step, tensors):
        """Return a term that is added to the loss at every step. `tensors` are the weights by name."""
        self.start = {name: self.start[name].to(tensor.device) for name, tensor in tensors.items()}
        return self.strength / 2 * sum(((tensor - self.start[name]) ** 2).sum() for name, tensor in tensors.items())


PULL = Method(name="PULL", hooks=(Pull(),), about="VANILLA with a pull towards the weights that a stage starts from.")
