"""Claims, each re-measured by a command: ``scripts/prove NAME``.

A proof prints its figures, the line that counts last, and fails when the claim does not hold on this box. It measures ratios
within one run wherever a ratio can be had.
"""
