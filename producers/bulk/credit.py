"""How many batches may be in flight: fewer when the fleet is full, slowly more while it answers.

Additive increase, multiplicative decrease: halved at each refusal, one more for each round of answers.
Source: Chiu and Jain, "Analysis of the increase and decrease algorithms for congestion avoidance" (1989).
"""

from dataclasses import dataclass

LEAST = 1.0


@dataclass(frozen=True, slots=True)
class Credit:
    """So many batches may be in flight (whole ones: the floor of *size*), never more than *most*."""

    size: float
    most: int

    @property
    def batches(self) -> int:
        """How many batches may be in flight."""
        return int(self.size)

    def refused(self) -> "Credit":
        """Return what is left after the fleet was full."""
        return Credit(max(LEAST, self.size / 2), self.most)

    def answered(self) -> "Credit":
        """Return what it is after one more batch was answered."""
        if self.size >= self.most:
            return self
        return Credit(min(float(self.most), self.size + 1 / self.size), self.most)
