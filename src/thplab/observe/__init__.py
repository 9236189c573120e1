# SPDX-License-Identifier: GPL-2.0-only
"""Readers of a running kernel: one file of the kernel each, into the shape of an Observation."""
