# SPDX-License-Identifier: GPL-2.0-only
"""Readers of a running kernel, a module for each file of the kernel, and one of the model."""
