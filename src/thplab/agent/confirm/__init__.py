# SPDX-License-Identifier: GPL-2.0-only
"""See a finding of the explorer on the kernel that this runs on, with its window held open by BPF programs."""
