# SPDX-License-Identifier: GPL-2.0-only
"""Where a scenario can run: on the model, on a kernel in a virtual machine, on this host."""
