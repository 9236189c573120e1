# SPDX-License-Identifier: GPL-2.0-only
"""thplab: an executable model of how Linux reclaims transparent huge pages, and a laboratory around it."""

__version__ = "0.1.0"
